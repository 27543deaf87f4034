"""Runs that go on by themselves, so many at a time: whoever listens may wait, hear nothing for long, or leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from specreason_graph.use.gateway.places import Place, Places
from specreason_graph.use.gateway.refusal import stopping

_Item = TypeVar("_Item")


class Jobs:
    """All of them."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._places = Places(at_once, waiting)
        self.most = at_once + waiting
        """Samples that one of them can have."""
        self.draining = False
        """Whether none is taken any more."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many samples are being written."""
        return self._places.running

    @property
    def waiting(self) -> int:
        """How many wait for one of those to end."""
        return self._places.waiting

    def begin(self, whose: str, samples: Sequence[AsyncIterator[_Item]]) -> Job[_Item]:
        """Run each of them when it is its turn.

        Raises:
            Refusal: too many wait already, or none is taken any more.
        """
        if self.draining:
            raise stopping()
        run = Job(samples, self._places.ask(whose, len(samples)))
        self._tasks.add(run.task)
        run.task.add_done_callback(self._tasks.discard)
        return run

    async def drain(self, seconds: float) -> None:
        """Take no more, and wait so long for those that go on."""
        self.draining = True
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=seconds)

    async def stop(self) -> None:
        """Cancel all of them, and wait until nothing is left."""
        self.draining = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))


class Job(Generic[_Item]):
    """One of them, of one sample or several; `stop` must be called whatever happens."""

    def __init__(self, samples: Sequence[AsyncIterator[_Item]], places: Sequence[Place]) -> None:
        self._told: asyncio.Queue[list[_Item] | None] = asyncio.Queue()  # unbounded: no slow reader holds a server up
        self._begun = asyncio.Event()
        self._spoke = False
        self._places = places
        self.task = asyncio.create_task(self._all(samples))
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

    async def _all(self, samples: Sequence[AsyncIterator[_Item]]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for sample, place in zip(samples, self._places, strict=True):
                    group.create_task(self._tell(sample, place))
        except ExceptionGroup as failed:  # the first failure has cancelled the others
            raise failed.exceptions[0] from None

    async def _tell(self, sample: AsyncIterator[_Item], place: Place) -> None:
        async with place:
            async for item in sample:  # nothing else is awaited here: a cancel reaches the innermost request
                self._spoke = True
                self._put([item])

    def _over(self, task: asyncio.Task[None]) -> None:
        for place in self._places:
            place.leave()  # of samples that were cancelled before they began, too
        if not task.cancelled():
            task.exception()  # looked at, so asyncio does not complain where nobody listens any more
        self._put(None)

    def _put(self, told: list[_Item] | None) -> None:
        self._told.put_nowait(told)
        self._begun.set()

    def _check(self) -> None:
        if self.task.cancelled():
            raise stopping()
        self.task.result()
