"""How busy base's server is, as far as the runs of one pair see it: what they ask of it, and how fast it answers.

All of it is estimated from the pair's own requests. What others ask of the same server shows as slower passes.
"""

from __future__ import annotations

import time
from bisect import bisect
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_SMOOTHED = 10.0
"""Samples that an average is of, about."""
_KNOWN, _REMEMBERED, _OF_EACH = 10.0, 50, 8
"""Steps that the acceptance rate is worth at first; how many it goes by in the long run, and of each run at least."""
_JUDGES = 30.0
"""The same of judges, which tell less: they begin anywhere in a pass."""
_ENOUGH = 16
"""Tokens that tell a pace; fewer tell less, and so do those that judges disturbed."""
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
    """Between two tokens of base, with as many sequences as runs, while it reads no prompts."""
    sequence_seconds: float
    """What one more sequence adds to that."""
    judge_seconds: float | None
    """For which base's server is busy with one judge's request alone."""
    draft_seconds: float | None
    """That a run waits for a drafted step; what look-ahead hides is no part of it."""
    step_tokens: float | None
    """Of a drafted step."""
    acceptance: float
    """Share of drafted tokens that are kept: a half, until the runs say otherwise."""


class Smoothed:
    """A value that follows its samples; the first ones count alike."""

    def __init__(self, value: float | None = None, weight: float = 0.0) -> None:
        self.value = value
        self._weight = weight

    def add(self, sample: float, weight: float = 1.0, remembered: float = _SMOOTHED) -> None:
        """One more, of a `weight` where 1 is usual; about so many of those are `remembered`."""
        self._weight = min(self._weight + weight, max(remembered, weight))
        self.value = sample if self.value is None else self.value + weight / self._weight * (sample - self.value)


class Load:
    """What the runs of one pair see of base; all of them tell it, and each asks before a step."""

    def __init__(self) -> None:
        self._runs: set[object] = set()
        self._sequences: dict[object, bool] = {}
        self._judging: dict[object, int] = {}
        self._judged: deque[float] = deque(maxlen=512)
        self._pace = _Pace()
        self._judge, self._draft, self._tokens = Smoothed(), Smoothed(), Smoothed()
        self._acceptance = Smoothed(0.5, _KNOWN)
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
        """Base has written some tokens of one sequence in so many seconds, up to now and without a break.

        What judges took of it meanwhile is not its pace.
        """
        if tokens < 1:
            return
        judges = len(self._judged) - bisect(self._judged, time.monotonic() - seconds)
        undisturbed = max(seconds / 2, seconds - judges * (self.judge_seconds or 0.0))
        weight = min(1.0, tokens / _ENOUGH) * (undisturbed / seconds) ** 4 if seconds else 1.0
        self._pace.add(max(1, len(self._sequences)), undisturbed / tokens, weight)

    @contextmanager
    def judging(self) -> Iterator[None]:
        """Around a judge's request. It waits for half a pass, as a rule, and shares the next one with all who wait."""
        this, began = object(), time.monotonic()
        at_once = self._judging[this] = len(self._judging) + 1
        for other, seen in self._judging.items():
            self._judging[other] = max(seen, at_once)
        try:
            yield
            now = time.monotonic()
            at_once = self._judging[this]
            passing = self._pace.token_seconds(len(self._sequences) + at_once) or 0.0
            self._judge.add(((now - began) / 1.5 - passing) / at_once, remembered=_JUDGES)
            self._judged.append(now)
        finally:
            del self._judging[this]

    def decided(self, tokens: int, waited: float, *, accepted: bool) -> None:
        """A drafted step of so many tokens, which was waited for so many seconds, was kept or not."""
        usual = self._tokens.value or float(tokens) or 1.0
        self._tokens.add(tokens)
        self._draft.add(waited)
        self._acceptance.add(float(accepted), tokens / usual, max(_REMEMBERED, _OF_EACH * len(self._runs)))

    def told(self, waiting: int) -> None:
        """The server says how many requests wait in it."""
        self._waiting, self._said = waiting, time.monotonic()

    @property
    def judge_seconds(self) -> float | None:
        """See `Seen`."""
        return None if self._judge.value is None else max(0.0, self._judge.value)

    def seen(self, between: int = 0) -> Seen:
        """What is known now, with so many runs `between` two nodes."""
        runs = max(1, len(self._runs) + between)
        return Seen(
            runs=runs,
            waiting=self._waiting if time.monotonic() - self._said < _WORD else 0,
            token_seconds=self._pace.token_seconds(runs),
            sequence_seconds=self._pace.sequence_seconds,
            judge_seconds=self.judge_seconds,
            draft_seconds=self._draft.value,
            step_tokens=self._tokens.value,
            acceptance=self._acceptance.value or 0.0,
        )


class _Pace:
    """Seconds a token as a line over the sequences that are written at once: a part of each pass, and one of each."""

    def __init__(self) -> None:
        # One weight for all: they are the sums of a regression.
        self._at, self._seconds, self._product, self._square = (Smoothed() for _ in range(4))

    def add(self, sequences: int, seconds: float, weight: float) -> None:
        self._at.add(sequences, weight)
        self._seconds.add(seconds, weight)
        self._product.add(sequences * seconds, weight)
        self._square.add(sequences * sequences, weight)

    @property
    def sequence_seconds(self) -> float:
        at, seconds = self._at.value, self._seconds.value
        if at is None or seconds is None:
            return 0.0
        # Where there are nearly always as many at once, nothing tells the two parts apart, and the line is level.
        spread = (self._square.value or 0.0) - at * at + at * at / 16
        slope = ((self._product.value or 0.0) - at * seconds) / spread
        return min(max(0.0, slope), seconds / at)

    def token_seconds(self, sequences: int) -> float | None:
        if self._at.value is None or self._seconds.value is None:
            return None
        return max(self._seconds.value + self.sequence_seconds * (sequences - self._at.value), 0.0)
