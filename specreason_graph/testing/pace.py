"""How fast a scripted server answers: at once, or at the pace of a GPU that has a request to itself."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """When each token of one answer is due."""

    async def until(self, token: int, *, last: bool) -> None:
        """Wait for token number `token` (from 0), and say whether another will be asked for."""

    def close(self) -> None:
        """The answer was read to its end, or nobody wants the rest of it."""


class ServerPace(Protocol):
    """Timings of a server: a `Pace`, or an `Engine` where what one request does slows the others down."""

    def begin(self, uncached: int, sequences: int, *, ago: float = 0.0) -> Schedule:
        """A request came in with so many prompts, which have so many uncached tokens together.

        `ago` are the seconds that the scripted server itself took to get here: they are no part of the pace.
        """


@dataclass(frozen=True, slots=True)
class Pace:
    """Timings of a server on which no request disturbs another; by default it answers at once.

    The first token of an answer comes out of the prefill, as on a real engine: n tokens behind p uncached prompt
    tokens take `ttft + p / prompt_tokens_per_second + (n - 1) * seconds_per_token` seconds.
    """

    ttft: float = 0.0
    """Seconds before the prefill begins: round trip and queue."""
    seconds_per_token: float = 0.0
    """Seconds from one generated token to the next."""
    prompt_tokens_per_second: float = math.inf
    """Speed of the prefill; cached tokens cost nothing."""

    def first_token(self, uncached: int) -> float:
        """Seconds from a request to its first token."""
        return self.ttft + uncached / self.prompt_tokens_per_second

    def begin(self, uncached: int, sequences: int, *, ago: float = 0.0) -> Schedule:
        """Prompts of one request are decoded side by side, so `sequences` costs nothing."""
        return _Alone(self, uncached, ago)


class _Alone:
    """A schedule that only its own request has a say in.

    Due times are counted from the request, not from the last token: `asyncio.sleep` may wake up a millisecond late,
    and a token that is late does not delay the next.
    """

    def __init__(self, pace: Pace, uncached: int, ago: float) -> None:
        self._pace = pace
        self._clock = asyncio.get_running_loop().time
        self._first = self._clock() - ago + pace.first_token(uncached)

    async def until(self, token: int, *, last: bool) -> None:
        """Others always get to run, also at no pace."""
        due = self._first + token * self._pace.seconds_per_token
        await asyncio.sleep(max(0.0, due - self._clock()))

    def close(self) -> None:
        """Nobody else waits for this one to end."""
