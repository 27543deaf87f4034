"""What a model of a run is writing, for whoever watches: it is read when somebody looks, so it costs nothing else."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import NamedTuple

from specreason_graph.contract.settings import Role


class BeingWritten(NamedTuple):
    """A text that grows."""

    role: Role
    step: int | None
    """Index of the step; None: the answer."""
    text: Callable[[], str]
    """As far as it has come."""


told_writing: ContextVar[Callable[[BeingWritten], None] | None] = ContextVar("specreason_told_writing", default=None)
"""Is told each text that the runs of its context wait for, when it begins."""


def tell(role: Role, step: int | None, text: Callable[[], str]) -> None:
    """Say that a run waits for a text."""
    listener = told_writing.get()
    if listener is not None:
        listener(BeingWritten(role, step, text))
