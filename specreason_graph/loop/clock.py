"""The time a run may take: it begins before anything is awaited, and bounds every request of the run."""

from __future__ import annotations

import time
from dataclasses import dataclass

from specreason_graph.contract.settings import Settings

ABORT = 0.25
"""Seconds that stopping what is under way may take beyond the deadline, before the run does without it."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Active seconds of a run, the graph's own between two nodes included; time between resumes does not count."""

    began: float
    """When this node began, by `time.perf_counter`."""
    spent: float
    """Seconds before this node."""
    deadline: float | None
    reserve: float
    """Seconds of the deadline that are kept for the answer."""

    @classmethod
    def started(cls, spent: float, settings: Settings) -> Clock:
        """It runs from now on."""
        return cls(time.perf_counter(), spent, settings.deadline, settings.answer_reserve)

    @property
    def zero(self) -> float:
        """When the run had spent nothing, by `time.perf_counter`; with its pauses left out."""
        return self.began - self.spent

    def seconds(self) -> float:
        """Of the run so far, this node's included."""
        return time.perf_counter() - self.zero

    def left(self) -> float | None:
        """Seconds until the deadline; None without one."""
        return None if self.deadline is None else max(0.0, self.deadline - self.seconds())

    def left_to_reason(self) -> float | None:
        """Seconds left for reasoning, the answer's reserve kept; None without a deadline."""
        left = self.left()
        return None if left is None else max(0.0, left - self.reserve)
