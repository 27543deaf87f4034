"""How busy base's server is, as far as the runs of one pair see it: what they ask of it, and how fast it answers.

Estimates move a little with each step. What makes a judge look slow, such as another one that the batch had to wait
for, comes and goes; so its seconds follow a lower value quickly, and a higher one slowly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_DOWN, _UP = 0.3, 0.05
_SMOOTHED, _FITTED = 0.2, 0.1
_WORD = 5.0
"""Seconds for which a server's word on its queue holds."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known before a step; None where nothing was measured yet."""

    runs: int
    """At work on the pair here: as many sequences as base would write at once without a draft."""
    waiting: int
    """Requests that wait in base's server, by its own word."""
    token_seconds: float | None
    """Between two tokens of base, with as many sequences as runs."""
    sequence_seconds: float
    """What one more sequence adds to that."""
    judge_seconds: float | None
    """For which base's server is busy with one judge's request."""
    step_tokens: float | None
    """Of a drafted step."""
    acceptance: float | None
    """Share of drafted tokens that are kept."""
    wasted_tokens: float
    """That base writes for nothing beside a drafted step."""


class Smoothed:
    """A value that follows its samples."""

    def __init__(self, down: float, up: float) -> None:
        self.value: float | None = None
        self._down, self._up = down, up

    def add(self, sample: float, weight: float = 1.0) -> None:
        """One more; `weight` 1 is a usual one."""
        if self.value is None:
            self.value = sample
        else:
            share = min(1.0, weight * (self._down if sample < self.value else self._up))
            self.value += share * (sample - self.value)


class Load:
    """What the runs of one pair see of base; all of them tell it, and each asks before a step."""

    def __init__(self) -> None:
        self._runs: set[object] = set()
        self._sequences: dict[object, bool] = {}
        self._pace = _Pace()
        self._judge = Smoothed(_DOWN, _UP)
        self._tokens = Smoothed(_SMOOTHED, _SMOOTHED)
        self._acceptance = Smoothed(_SMOOTHED, _SMOOTHED)
        self._wasted = Smoothed(_SMOOTHED, _SMOOTHED)
        self._waiting, self._said = 0, float("-inf")

    @contextmanager
    def run(self) -> Iterator[None]:
        """Around a node: a run is at work."""
        this = object()
        self._runs.add(this)
        try:
            yield
        finally:
            self._runs.discard(this)

    def begun(self, *, hedges: bool) -> Callable[[], None]:
        """Base writes one more sequence, perhaps for nothing. Returns what says that it is over."""
        this = object()
        self._sequences[this] = hedges

        def over() -> None:
            self._sequences.pop(this, None)

        return over

    @property
    def hedges(self) -> int:
        """How many of base's sequences may turn out to be for nothing."""
        return sum(self._sequences.values())

    def wrote(self, tokens: int, seconds: float) -> None:
        """Base has written some tokens of one sequence in so many seconds, without a break."""
        if tokens > 0:
            self._pace.add(max(1, len(self._sequences)), seconds / tokens)

    def judged(self, seconds: float) -> None:
        """A judge's request took so long; what it waited for the pass that was going on is not its own."""
        self._judge.add(max(0.0, seconds - (self._pace.token_seconds(len(self._sequences)) or 0.0)))

    def decided(self, tokens: int, *, accepted: bool) -> None:
        """A drafted step of so many tokens was kept or not."""
        usual = self._tokens.value or float(tokens) or 1.0
        self._tokens.add(tokens)
        self._acceptance.add(float(accepted), tokens / usual)

    def wasted(self, tokens: int) -> None:
        """Base wrote so many tokens beside a draft that was accepted, or none beside one that was not."""
        self._wasted.add(tokens)

    def told(self, waiting: int) -> None:
        """The server says how many requests wait in it."""
        self._waiting, self._said = waiting, time.monotonic()

    def seen(self) -> Seen:
        """What is known now."""
        runs = max(1, len(self._runs))
        return Seen(
            runs=runs,
            waiting=self._waiting if time.monotonic() - self._said < _WORD else 0,
            token_seconds=self._pace.token_seconds(runs),
            sequence_seconds=self._pace.sequence_seconds,
            judge_seconds=self._judge.value,
            step_tokens=self._tokens.value,
            acceptance=self._acceptance.value,
            wasted_tokens=self._wasted.value or 0.0,
        )


class _Pace:
    """Seconds a token as a line over the sequences that are written at once: a part of each pass, and one of each."""

    def __init__(self) -> None:
        # One weight for all: they are the sums of a regression.
        self._at, self._seconds, self._product, self._square = (Smoothed(_FITTED, _FITTED) for _ in range(4))

    def add(self, sequences: int, seconds: float) -> None:
        self._at.add(sequences)
        self._seconds.add(seconds)
        self._product.add(sequences * seconds)
        self._square.add(sequences * sequences)

    @property
    def sequence_seconds(self) -> float:
        at, seconds = self._at.value, self._seconds.value
        if at is None or seconds is None:
            return 0.0
        spread = (self._square.value or 0.0) - at * at
        if spread < 1.0:  # nearly always as many at once: nothing tells the two parts apart
            return 0.0
        slope = ((self._product.value or 0.0) - at * seconds) / spread
        return min(max(0.0, slope), seconds / at)

    def token_seconds(self, sequences: int) -> float | None:
        if self._at.value is None or self._seconds.value is None:
            return None
        return max(self._seconds.value + self.sequence_seconds * (sequences - self._at.value), 0.0)
