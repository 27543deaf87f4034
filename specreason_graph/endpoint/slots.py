"""Which of a llama.cpp server's slots a request goes to: the one whose prefix cache holds most of its prompt.

The server spreads the prompts of one request over its idle slots, and every slot but one would then read the
whole prefix anew; so a request names one slot, and a run keeps its slot from one request to the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock


@dataclass(slots=True)
class _Slot:
    number: int
    requests: int = 0
    held: list[int] = field(default_factory=list)


class Slots:
    """The slots of one server, least recently used first, with the prompt that each was asked to read last."""

    def __init__(self, count: int) -> None:
        self._slots = [_Slot(number) for number in range(count)]
        self._lock = Lock()  # loops of several threads may share a server

    @contextmanager
    def one_for(self, prompt: Sequence[int]) -> Iterator[int]:
        """The idle slot that has read most of this prompt, or of a run that shares half; else the least recent one.

        Without an idle one it is not waited for: the server itself puts off a request to a slot that is busy.
        """
        with self._lock:
            slot = self._taken(list(prompt))
        try:
            yield slot.number
        finally:
            with self._lock:
                slot.requests -= 1

    def _taken(self, ids: list[int]) -> _Slot:
        free = [slot for slot in self._slots if not slot.requests] or self._slots
        shared = {slot.number: _shared(slot.held, ids) for slot in free}
        slot = max(free, key=lambda slot: shared[slot.number])
        if 2 * shared[slot.number] < min(len(ids), len(slot.held)):
            slot = free[0]
        self._slots.remove(slot)
        self._slots.append(slot)
        slot.held = ids
        slot.requests += 1
        return slot


def _shared(one: list[int], other: list[int]) -> int:
    """How many ids two prompts begin with in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
