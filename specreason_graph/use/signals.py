"""What ends a command that serves until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def on_ending_signal(stop: Callable[[int], object]) -> None:
    """Have the running loop call `stop` with the signal's number; what was ignored from the start stays so (nohup)."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
