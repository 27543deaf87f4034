"""What goes wrong, in the order it was planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

_Fault = TypeVar("_Fault")


@dataclass(slots=True)
class _Planned(Generic[_Fault]):
    fault: _Fault
    path: str | None
    left: int | None


class Plan(Generic[_Fault]):
    """Faults that coming requests meet; those of a path take their turns in the order they were planned."""

    def __init__(self) -> None:
        self._planned: list[_Planned[_Fault]] = []

    def add(self, fault: _Fault, path: str | None, times: int | None) -> None:
        """One more: `path` None is any, and `times` None is always."""
        self._planned.append(_Planned(fault, path, times))

    def next(self, path: str) -> _Fault | None:
        """What the next request to a path meets; None: nothing."""
        planned = next((it for it in self._planned if it.path in (None, path) and it.left != 0), None)
        if planned is None:
            return None
        if planned.left is not None:
            planned.left -= 1
        return planned.fault

    def clear(self) -> None:
        """Forget all of it."""
        self._planned.clear()
