"""A clock that jumps, and what comes when on it."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from specreason_graph.testing.pace import Schedule

_Result = TypeVar("_Result")


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: the time that it would have waited is added up."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def on_jumping_clock(main: Coroutine[Any, Any, _Result]) -> _Result:
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()


async def read(schedule: Schedule, tokens: int) -> list[float]:
    """When each of so many tokens came."""
    times = []
    for token in range(tokens):
        await schedule.until(token, last=tokens - 1)
        times.append(now())
    schedule.close()
    return times


async def later(seconds: float, schedule: Any, tokens: int) -> list[float]:
    """The same for a request that begins some seconds from now."""
    await asyncio.sleep(seconds)
    return await read(schedule(), tokens)
