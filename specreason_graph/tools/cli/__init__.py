"""The `specreason` command. Nothing is imported here that takes time: from its first moment on, Ctrl-C is quiet."""

from __future__ import annotations

import os
import signal
import sys

from specreason_graph.tools.cli.status import INTERRUPTED


def main() -> None:
    """Run the command line, and exit with its status."""
    interrupts = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a job in the background ignores them
    if interrupts:
        signal.signal(signal.SIGINT, _leave)
    from specreason_graph.tools.cli.app import run  # seconds, in which there is nothing to lose

    try:
        if interrupts:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        status = run()
    except KeyboardInterrupt:
        status = INTERRUPTED
    finally:
        if interrupts:
            signal.signal(signal.SIGINT, _leave)  # again while threads end: no traceback of theirs
    sys.exit(status)


def _leave(*_: object) -> None:
    os._exit(INTERRUPTED)
