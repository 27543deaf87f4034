"""Runs that go on by themselves, so many at a time: whoever listens may wait, hear nothing for long, or leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Generic, TypeVar

from specreason_graph.use.gateway.refusal import Refusal

_Item = TypeVar("_Item")


class Jobs:
    """All of them."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._at_once = at_once
        self._bound = at_once + waiting
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many run."""
        return min(len(self._tasks), self._at_once)

    @property
    def waiting(self) -> int:
        """How many wait for one of those to end."""
        return len(self._tasks) - self.running

    def begin(self, items: AsyncIterator[_Item]) -> Job[_Item]:
        """Run it when it is its turn.

        Raises:
            Refusal: too many wait already.
        """
        if len(self._tasks) >= self._bound:
            raise Refusal(503, f"busy: {self.running} runs go on and {self.waiting} wait", code="overloaded")
        run = Job(items, self._places)
        self._tasks.add(run.task)
        run.task.add_done_callback(self._tasks.discard)
        return run

    async def stop(self) -> None:
        """Cancel all of them, and wait until nothing is left."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))


class Job(Generic[_Item]):
    """One of them; `stop` must be called whatever happens."""

    def __init__(self, items: AsyncIterator[_Item], places: asyncio.Semaphore) -> None:
        self._told: asyncio.Queue[list[_Item] | None] = asyncio.Queue()  # unbounded: no slow reader holds a server up
        self._begun = asyncio.Event()
        self._spoke = False
        self.task = asyncio.create_task(self._tell(items, places))
        self.task.add_done_callback(self._over)

    async def begun(self, patience: float) -> None:
        """Wait until it tells something, or `patience` seconds.

        Raises:
            Refusal: it was stopped before.
            Exception: whatever it ended with, having told nothing.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._begun.wait()
        if self.task.done() and not self._spoke:
            self._check()

    async def items(self, patience: float | None = None) -> AsyncGenerator[_Item | None, None]:
        """What it tells, and None whenever it has told nothing for `patience` seconds.

        Raises:
            Refusal: it was stopped.
            Exception: whatever it ended with.
        """
        while True:
            try:
                async with asyncio.timeout(patience):
                    told = await self._told.get()
            except TimeoutError:
                yield None
                continue
            if told is None:
                break
            yield told[0]
        self._check()

    async def stop(self) -> None:
        """Cancel it if it still goes on, and wait until nothing is left of it."""
        self.task.cancel()
        await asyncio.wait({self.task})

    async def _tell(self, items: AsyncIterator[_Item], places: asyncio.Semaphore) -> None:
        async with places:
            async for item in items:  # nothing else is awaited here: a cancel reaches the innermost request
                self._spoke = True
                self._put([item])

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # looked at, so asyncio does not complain where nobody listens any more
        self._put(None)

    def _put(self, told: list[_Item] | None) -> None:
        self._told.put_nowait(told)
        self._begun.set()

    def _check(self) -> None:
        if self.task.cancelled():
            raise Refusal(503, "the gateway is stopping", code="stopping")
        self.task.result()
