"""What is looked up once and kept, however many ask for it at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from specreason_graph.contract.errors import SpecReasonError, retold
from specreason_graph.endpoint.retries import is_passing

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")
_Place = tuple[asyncio.AbstractEventLoop, _Key]


@dataclass(slots=True)
class _Flight(Generic[_Value]):
    """A look-up under way."""

    task: asyncio.Task[_Value]
    waiting: int = 0


class Memo(Generic[_Key, _Value]):
    """Values by key. Callers of one event loop share one look-up; one that fails is not kept.

    A look-up outlives the caller that began it, for whoever else waits for it must not fail because that one was
    cancelled; when nobody waits any more it is cancelled, too. Threads with loops of their own may each look a thing
    up once.
    """

    def __init__(self) -> None:
        self._known: dict[_Key, _Value] = {}
        self._flights: dict[_Place[_Key], _Flight[_Value]] = {}

    def __contains__(self, key: _Key) -> bool:
        return key in self._known

    def known(self, key: _Key) -> _Value | None:
        """The value, if it has been looked up."""
        return self._known.get(key)

    def keep(self, key: _Key, value: _Value) -> None:
        """Keep what came without asking."""
        self._known.setdefault(key, value)

    def forget(self, key: _Key) -> None:
        """Look it up again next time."""
        self._known.pop(key, None)

    async def get(self, key: _Key, look_up: Callable[[], Awaitable[_Value]]) -> _Value:
        """The value, looked up by whoever comes first.

        Who waited for another's look-up asks once more, again all together, where it failed for good at the first try:
        one answer that went wrong fails one caller.
        """
        if key in self._known:
            return self._known[key]
        place = (asyncio.get_running_loop(), key)
        joins = place in self._flights
        try:
            return await self._awaited(place, look_up)
        except SpecReasonError as error:
            if not joins or is_passing(error):  # that was tried for long enough
                raise
        return await self._awaited(place, look_up)

    async def _awaited(self, place: _Place[_Key], look_up: Callable[[], Awaitable[_Value]]) -> _Value:
        flight = self._flights.get(place)
        if flight is None:
            flight = self._flights[place] = _Flight(asyncio.create_task(self._looked_up(place[1], look_up)))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        except SpecReasonError as error:
            self._land(place, flight)
            raise retold(error).with_traceback(error.__traceback__) from None
        finally:
            flight.waiting -= 1
            if not flight.waiting:
                flight.task.cancel()
                self._land(place, flight)

    def _land(self, place: _Place[_Key], flight: _Flight[_Value]) -> None:
        if self._flights.get(place) is flight:
            del self._flights[place]

    async def _looked_up(self, key: _Key, look_up: Callable[[], Awaitable[_Value]]) -> _Value:
        return self._known.setdefault(key, await look_up())
