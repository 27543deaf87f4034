"""The runs that go on and the last that ended, for `/runs`: with their texts, so they are kept only on demand."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Literal

from specreason_graph.contract.state import SpecReasonState
from specreason_graph.loop.report import Report, report

Status = Literal["running", "answered", "stopped"]
"""`stopped`: it failed, or its client left."""


@dataclass(slots=True)
class Seen:
    """One run."""

    key: str
    """Name of the key that asked: who has another one does not see it."""
    pair: str
    id: str = field(default_factory=lambda: token_hex(16))
    begun: float = field(default_factory=time.time)
    status: Status = "running"
    version: int = 0
    """Counts what has changed."""
    _state: SpecReasonState | None = None

    def told(self, state: SpecReasonState) -> None:
        """A node has ended; states are never changed, so this one may be kept."""
        self._state = state
        self.version += 1

    def ended(self, *, answered: bool) -> None:
        """Nothing more comes."""
        self.status = "answered" if answered else "stopped"
        self.version += 1

    def report(self) -> Report:
        """As far as it has come."""
        return report(self._state or SpecReasonState(messages=[]))

    def pending(self) -> dict[str, str] | None:
        """The text that the draft wrote for the next step, and what it waits for."""
        pending = self._state.get("specreason_pending") if self._state and self.status == "running" else None
        return pending and {"text": pending["drafted"]["text"], "status": pending["status"]}


class SeenRuns:
    """So many of them; the oldest that are over go first, then the oldest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._runs: OrderedDict[str, Seen] = OrderedDict()

    def begin(self, key: str, pair: str) -> Seen:
        """One that begins now."""
        run = Seen(key, pair)
        self._runs[run.id] = run
        while len(self._runs) > self._most:
            over = (id for id, run in self._runs.items() if run.status != "running")
            del self._runs[next(over, next(iter(self._runs)))]
        return run

    def of(self, key: str) -> Iterator[Seen]:
        """Those of a key, the last begun first."""
        return (run for run in reversed(self._runs.values()) if run.key == key)

    def get(self, key: str, id: str) -> Seen | None:
        """One of a key's; None where it has none of this id."""
        run = self._runs.get(id)
        return run if run is not None and run.key == key else None
