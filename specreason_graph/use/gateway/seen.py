"""The runs that go on and the last that ended, for `/runs`: with their texts, so they are kept only on demand."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any, Literal

from specreason_graph.contract.state import SpecReasonState
from specreason_graph.loop.report import Report, report, so_far
from specreason_graph.loop.watched import BeingWritten

Status = Literal["running", "answered", "stopped"]
"""`stopped`: it failed, or its client left."""


@dataclass(slots=True)
class SeenRun:
    """One run."""

    key: str
    """Name of the key that asked: who has another one does not see it."""
    pair: str
    id: str = field(default_factory=lambda: token_hex(16))
    begun: float = field(default_factory=time.time)
    status: Status = "running"
    version: int = 0
    """Counts what nodes have changed."""
    _state: SpecReasonState | None = None
    _writing: BeingWritten | None = None
    _over: Report | None = None
    """All that is kept of it in the end: a state has the conversation, with its images."""

    def told(self, state: SpecReasonState) -> None:
        """A node has ended; states are never changed, so this one may be kept."""
        self._state = state
        self.version += 1

    def ended(self, *, answered: bool) -> None:
        """Nothing more comes."""
        self._over = self.report()
        self.status = "answered" if answered else "stopped"
        self._state = self._writing = None
        self.version += 1

    def writes(self, text: BeingWritten) -> None:
        """A model writes a text, which is read when somebody looks."""
        self._writing = text

    def report(self) -> Report:
        """As far as it has come."""
        return self._over or report(self._state or SpecReasonState(messages=[]))

    def so_far(self) -> dict[str, Any]:
        """The report, and what the models wrote for the next step; or as much of the answer as there is."""
        if self.status != "running":
            return {**self.report(), "pending": []}
        found = so_far(self._state or SpecReasonState(messages=[]))
        if self._writing is not None:
            role, step, text = self._writing
            if step is None:
                found["answer"] = found["answer"] or text()
            elif step == len(found["steps"]) and not (found["pending"] and role == "draft"):  # else it is written
                found["pending"].append({"role": role, "text": text(), "status": "writing"})
        return found


class SeenRuns:
    """So many of them; the oldest that are over go first, then the oldest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._runs: OrderedDict[str, SeenRun] = OrderedDict()

    def begin(self, key: str, pair: str) -> SeenRun:
        """One that begins now."""
        run = SeenRun(key, pair)
        self._runs[run.id] = run
        while len(self._runs) > self._most:
            over = (id for id, run in self._runs.items() if run.status != "running")
            del self._runs[next(over, next(iter(self._runs)))]
        return run

    def of(self, key: str) -> Iterator[SeenRun]:
        """Those of a key, the last begun first."""
        return (run for run in reversed(self._runs.values()) if run.key == key)

    def get(self, key: str, id: str) -> SeenRun | None:
        """One of a key's; None where it has none of this id."""
        run = self._runs.get(id)
        return run if run is not None and run.key == key else None
