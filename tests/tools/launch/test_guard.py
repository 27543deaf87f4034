"""The guard ends a server and all of its kin, when the launcher ends and when the server does."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from specreason_graph.tools.launch import guard

from .processes import Processes


def guarded(*arguments: str) -> subprocess.Popen[bytes]:
    server = ["vllm.entrypoints.openai.api_server", "--model", "m", "--host", "127.0.0.1", "--port", "1", *arguments]
    return subprocess.Popen(
        [sys.executable, "-I", guard.__file__, "0.5", sys.executable, "-m", *server],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.parametrize("end", ["the launcher's end of the pipe", "SIGTERM"])
def test_nothing_outlives_the_guard_not_even_in_another_session(
    end: str, processes: Processes, until: Callable[..., None]
) -> None:
    process = guarded("--act=stubborn", "--act=hangs")
    until(lambda: len(processes.alive("SIG_IGN")) == 2)
    assert process.stdin is not None
    if end == "SIGTERM":
        process.send_signal(signal.SIGTERM)
    else:
        process.stdin.close()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert processes.alive() == {}
    process.stdin.close()


def test_a_server_that_ends_takes_its_kin_along_and_its_exit_status_is_told(processes: Processes) -> None:
    with guarded("--act=stubborn", "--act=dies") as process:
        assert process.wait(timeout=60) == 1
    assert processes.alive() == {}


def test_the_launcher_hears_of_the_signal_that_ended_a_server(processes: Processes, until: Callable[..., None]) -> None:
    with guarded("--act=hangs") as process:
        until(lambda: len(processes.alive("api_server")) == 2)
        [server] = processes.alive("api_server").keys() - {process.pid}
        subprocess.run(["kill", "-KILL", str(server)], check=True)
        assert process.wait(timeout=60) == 128 + signal.SIGKILL
