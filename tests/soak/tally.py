"""What became of the runs: each step that was told as kept is in the record once, and as it was told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .questions import Question


@dataclass(slots=True)
class Tally:
    """Of all runs.

    `counts` has `questions` that were over, `answered`, lives that were `stopped` (by an error of ours, or of the
    database's), `cancelled` or `killed`, each of which was resumed, steps and ends that were `lost` or `doubled`, and
    lives that ended in an `untyped` error.
    """

    counts: Counter[str] = field(default_factory=Counter)
    stops: Counter[str] = field(default_factory=Counter)
    """Those that were stopped, by type."""
    problems: list[str] = field(default_factory=list)
    """What is lost, doubled or untyped, in words."""

    def stopped(self, question: Question, told: Mapping[int, Any], error: Exception) -> None:
        """A life has ended in an error that carries what was kept, if it is one of ours."""
        self.counts["stopped"] += 1
        self.stops[type(error).__name__] += 1
        steps = getattr(error, "steps", None)
        if steps is not None:
            self._found(
                "lost", question, "not in the error: step", (n for n, step in told.items() if step not in steps)
            )

    def failed(self, question: Question, error: Exception) -> None:
        """A life has ended in an error that nobody foresaw."""
        self._found("untyped", question, repr(error), [0])

    def unended(self, question: Question) -> None:
        """A run came to no end, however often it was resumed."""
        self._found("lost", question, "no end", [0])

    def answered(self, question: Question, told: Mapping[int, Any], state: Mapping[str, Any]) -> None:
        """A run is over; `told` has its steps by index, as they were told first."""
        self.counts["answered"] += 1
        kept: list[Any] = state["specreason_steps"]
        texts = [step["text"].strip() for step in kept]
        made = (n for n, step in told.items() if n < len(kept) and step != kept[n])  # to the last digit
        self._found("doubled", question, "made again: step", made)
        self._found("doubled", question, "out of place: step", (n for n, step in enumerate(kept) if step["index"] != n))
        self._found("lost", question, "told, and not kept: step", (n for n in told if n >= len(kept)))
        replies = [it.text for it in state["messages"][1:]]
        self._found("doubled", question, "reply", range(1, len(replies)))
        if question.steps is None:
            self._found("lost", question, "the reply", [0] if not replies else [])
            return
        self._found("doubled", question, "told once more: step", (n for n, it in enumerate(texts) if it in texts[:n]))
        self._found("lost", question, "step", (n for n, text in enumerate(question.steps) if text not in texts))
        self._found("lost", question, f"the order: {texts}", [0] if sorted(texts) != texts else [])
        self._found("lost", question, f"the answer: {replies}", [0] if replies[:1] != [question.answer] else [])

    def _found(self, what: str, question: Question, how: str, places: Iterable[int]) -> None:
        for place in places:
            self.counts[what] += 1
            self.problems.append(f"{what}: {question.text} {how} {place}")
