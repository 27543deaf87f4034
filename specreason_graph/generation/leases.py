"""Streams that live on between two nodes of a run, for a moment.

LangGraph's nodes can't share a running task, and a node may be the last one that ever runs: the run is cancelled, its
process resumed elsewhere, its thread forked. So a node parks its streams here and writes the lease into the state;
the next node claims them. What nobody claims in time is cut, and then nothing is left running.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4
from weakref import WeakSet

from specreason_graph.contract.settings import Role
from specreason_graph.generation.stream import Stream

Streams = dict[Role, Stream]

SECONDS = 0.5
"""How long streams wait for the next node. A graph takes a millisecond from one node to the next, and a checkpointer
some more; a server that writes for nobody is paid for by everybody else."""


@dataclass(frozen=True, slots=True)
class _Parked:
    streams: Streams
    loop: asyncio.AbstractEventLoop
    expiry: asyncio.TimerHandle


@dataclass(slots=True)
class Leases:
    """Those of one pair of models."""

    hedges: WeakSet[Stream] = field(default_factory=WeakSet)
    """Base's streams that may turn out to be for nothing."""
    _parked: dict[str, _Parked] = field(default_factory=dict)
    _cutting: set[asyncio.Task[None]] = field(default_factory=set)

    def park(self, streams: Streams) -> str | None:
        """Keep what goes on for the next node. Returns the lease, None where nothing goes on."""
        kept = {role: stream for role, stream in streams.items() if stream.goes_on}
        if not kept:
            return None
        lease, loop = uuid4().hex, asyncio.get_running_loop()
        self._parked[lease] = _Parked(kept, loop, loop.call_later(SECONDS, self._expire, lease))
        return lease

    def claim(self, lease: str | None) -> Streams:
        """Take a lease's streams over: all of them, once, in the event loop that they run in; else none."""
        parked = self._parked.get(lease) if lease is not None else None
        if lease is None or parked is None or parked.loop is not asyncio.get_running_loop():
            return {}
        del self._parked[lease]
        parked.expiry.cancel()
        return dict(parked.streams)

    def hedging(self) -> int:
        """How many hedges are being written now."""
        return sum(stream.goes_on for stream in self.hedges)

    def _expire(self, lease: str) -> None:
        task = asyncio.create_task(cut(self._parked.pop(lease).streams))
        self._cutting.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(self._cutting.discard)


@asynccontextmanager
async def stopping(streams: Streams) -> AsyncIterator[None]:
    """Around a node: when it fails or is cancelled, nothing is left running."""
    try:
        yield
    except BaseException:
        await cut(streams)
        raise


async def cut(streams: Streams) -> None:
    """Stop all of them."""
    for stream in streams.values():
        await stream.cut()
