"""What this process holds of a run between two of its nodes.

LangGraph's nodes can't share a running task, and a node may be the last one that ever runs: the run is cancelled, its
process resumed elsewhere, its thread forked. So a node parks what it holds and writes the lease into the state; the
next node claims it. Streams that nobody claims in time are stopped, and in the end nothing is left. It is a cache:
the state says what is true.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable
from contextvars import Context
from dataclasses import dataclass, field
from itertools import islice
from secrets import token_hex
from threading import Lock
from weakref import WeakSet

from specreason_graph.contract.settings import Role
from specreason_graph.generation.ledger import Ledgers, Opening
from specreason_graph.generation.load import Load, Seen
from specreason_graph.generation.overlap import Overlap

TICK, TICKS = 0.1, 5
"""Streams wait half a second for the next node: a graph takes a millisecond from one node to the next, and a
checkpointer some more; a server that writes for nobody is paid for by everybody else. It is counted in rounds of the
event loop, since in a busy one the next node may not have had its turn."""

KEPT = 300.0
"""Seconds in which a run that waits finds its rendered question again, and what it owes."""


@dataclass(slots=True)
class LiveRun:
    """One run, as far as its state does not hold it."""

    overlap: Overlap
    ledgers: Ledgers = field(default_factory=Ledgers)
    openings: dict[Role, Opening] = field(default_factory=dict)
    rendered_for: Hashable = None
    """Preset and models that the openings are of: a resumed run may name others."""
    fetched: dict[str, bytes] = field(default_factory=dict)
    """Images of the question that are named by an address, by it: one run sees one image there."""
    cues: dict[tuple[Role, str], list[int]] = field(default_factory=dict)
    """What asks for the answer, where that is the run's own: a schema."""
    reencoded: dict[str, list[int]] = field(default_factory=dict)
    """Steps that were kept while the draft was gone, in its tokens, by their texts."""

    listening: WeakSet[object] = field(default_factory=WeakSet)
    """Who was told that its reply began."""

    left_at: float | None = None
    """When its last node left it, by `time.perf_counter`; None where nobody came for it in time."""

    def rest(self) -> None:
        """Nobody came: keep no more than what is dear to get again."""
        self.left_at = None
        self.ledgers.clear()
        self.overlap.forget()

    def between_nodes(self) -> float:
        """Seconds since its last node: the graph's and its checkpointer's, which are the run's too."""
        return 0.0 if self.left_at is None else time.perf_counter() - self.left_at


@dataclass(slots=True)
class _Parked:
    run: LiveRun
    loop: asyncio.AbstractEventLoop
    expiry: asyncio.TimerHandle


class LiveRuns:
    """Those of one pair of models."""

    def __init__(self) -> None:
        self.load = Load()
        self._parked: dict[str, _Parked] = {}
        self._lock = Lock()  # runs in threads of their own share it

    def __len__(self) -> int:
        return len(self._parked)

    def seen(self) -> Seen:
        """What is known of base's load; a run between two of its nodes is at work as well."""
        with self._lock:
            between = sum(parked.run.left_at is not None for parked in self._parked.values())
        return self.load.seen(between)

    def begin(self) -> LiveRun:
        """Nothing of a run yet."""
        return LiveRun(Overlap(self.load))

    def park(self, run: LiveRun, lease: str | None = None) -> str:
        """Keep it for the next node, under the lease that it had where a node failed. Returns the lease."""
        lease, loop = lease or token_hex(16), asyncio.get_running_loop()
        run.left_at = time.perf_counter()
        # In no context: a node's own would keep its graph, saver and state for as long as this is kept.
        expiry = loop.call_later(TICK, self._tick, lease, TICKS - 1, context=Context())
        with self._lock:
            self._parked[lease] = _Parked(run, loop, expiry)
            self._sweep()
        return lease

    def claim(self, lease: str | None) -> LiveRun | None:
        """Take it over: once, and in the event loop that its streams run in, or when that has ended."""
        loop = asyncio.get_running_loop()
        with self._lock:
            parked = self._parked.get(lease) if lease is not None else None
            if lease is None or parked is None or not (parked.loop is loop or parked.loop.is_closed()):
                return None
            del self._parked[lease]
        if parked.loop is not loop:
            parked.run.rest()
        parked.expiry.cancel()
        return parked.run

    def _tick(self, lease: str, left: int) -> None:
        with self._lock:
            parked = self._parked.get(lease)
            if parked is not None and left:
                parked.expiry = parked.loop.call_later(TICK, self._tick, lease, left - 1)
            elif parked is not None:
                parked.run.rest()
                parked.expiry = parked.loop.call_later(KEPT, self._forget, lease)

    def _forget(self, lease: str) -> None:
        with self._lock:
            self._parked.pop(lease, None)

    def _sweep(self) -> None:
        """Look at two: what waits in an event loop that has ended has no timer any more."""
        for lease in list(islice(self._parked, 2)):
            parked = self._parked.pop(lease)
            if parked.loop.is_closed():
                parked.run.rest()
            else:
                self._parked[lease] = parked
