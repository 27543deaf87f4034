"""Keeps one server, and lets nothing of it live on when the launcher ends, however it ends.

Run as a script, of nothing but the standard library: `guard.py SECONDS COMMAND…`. Standard input is a pipe that only
the launcher holds open, so its end is the launcher's end. The guard leads a session and process group of its own.
"""

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_LEFTOVERS = 3.0  # seconds; a server's helpers end behind it, and tidy up shared memory as they do


def guard(grace: float, command: list[str]) -> int:
    """Run a command until it ends, the pipe does or a signal comes; then end all that it started.

    Args:
        grace: seconds that it may take to end when it is asked to.
        command: program and arguments.

    Returns:
        The command's exit status; 128 and the signal's number where a signal ended it.
    """
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: signals.append(received))
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # whoever loses its parent becomes a child of ours
    nothing = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    server = os.posix_spawnp(command[0], command, os.environ, file_actions=[nothing])
    ended: dict[int, int] = {}
    while not _reap(ended, server) and not signals and not select.select([sys.stdin], [], [], 0.2)[0]:
        pass
    if server not in ended:
        os.kill(server, signal.SIGTERM)
        _wait(lambda: _reap(ended, server), grace)
    os.killpg(0, signal.SIGTERM)
    _wait(lambda: _reap(ended, server) and not _children(), min(grace, _LEFTOVERS))
    while children := _children():  # each that dies leaves its own children to us
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
        _reap(ended, server)
    status = ended[server]
    return status if status >= 0 else 128 - status


def _reap(ended: dict[int, int], server: int) -> bool:
    """Note the children that have ended, and whether the server has."""
    with suppress(ChildProcessError):
        while (waited := os.waitpid(-1, os.WNOHANG))[0]:
            ended[waited[0]] = os.waitstatus_to_exitcode(waited[1])
    return server in ended


def _children() -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            parent = stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1]
            if int(parent) == os.getpid():
                found.append(int(stat.parent.name))
    return found


def _wait(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(guard(float(sys.argv[1]), sys.argv[2:]))
