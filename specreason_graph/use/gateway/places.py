"""Places for runs: so many at a time, the others wait, and who waits takes turns by key and not by number."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType

from specreason_graph.use.gateway.refusal import Refusal


class Place:
    """One run's: a context manager that waits for its turn. `leave` must be called whatever happens."""

    def __init__(self, whose: str, places: Places) -> None:
        self.whose = whose
        self.turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._places = places

    async def __aenter__(self) -> None:
        await self.turn

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Give it back, or its turn up; a second time is nothing."""
        self._places.left(self)


class Places:
    """All of them.

    At the bound of those that wait, whose key has most of them waiting loses its newest to a key that has fewer: one
    client alone can fill the queue, and none can keep another out of it.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._at_once = at_once
        self._bound = waiting
        self._inside: set[Place] = set()
        self._queues: dict[str, deque[Place]] = {}
        """Never an empty one; in the order of their turns."""

    @property
    def running(self) -> int:
        """How many are taken."""
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return sum(map(len, self._queues.values()))

    def ask(self, whose: str, count: int) -> Sequence[Place]:
        """Places for as many runs of one key, all or none.

        Raises:
            Refusal: too many wait already.
        """
        waits = max(0, count - (self._at_once - self.running))
        over = self.waiting + waits - self._bound
        losers = self._losers(whose, waits, over)
        if len(losers) < over:
            said = f"busy: {self.running} runs go on and {self.waiting} wait"
            raise Refusal(503, said, code="overloaded")
        for loser in losers:
            self.left(loser)
            if not loser.turn.done():
                loser.turn.set_exception(Refusal(503, "busy: clients with fewer runs go first", code="overloaded"))
                loser.turn.exception()  # looked at, so asyncio does not complain where nobody waits any more
        places = [Place(whose, self) for _ in range(count)]
        self._queues.setdefault(whose, deque()).extend(places)
        self._next()
        return places

    def left(self, place: Place) -> None:
        """Of a place that was given back or up."""
        if place in self._inside:
            self._inside.remove(place)
            self._next()
        elif place in (queue := self._queues.get(place.whose, deque())):
            queue.remove(place)
            if not queue:
                del self._queues[place.whose]

    def _losers(self, whose: str, waits: int, over: int) -> list[Place]:
        """The newest of the longest queues, as long as those are longer than the asking key's would be."""
        left = {key: list(queue) for key, queue in self._queues.items()}
        own = len(left.pop(whose, [])) + waits
        losers = []
        for _ in range(over):
            longest = max(left.values(), key=len, default=[])
            if len(longest) <= own:
                break
            losers.append(longest.pop())
        return losers

    def _next(self) -> None:
        while self._queues and self.running < self._at_once:
            whose = next(iter(self._queues))
            queue = self._queues.pop(whose)
            place = queue.popleft()
            if queue:
                self._queues[whose] = queue  # behind the others
            self._inside.add(place)
            if not place.turn.done():  # who waited for it was cancelled, and leaves in a moment
                place.turn.set_result(None)
