"""How fast a scripted server answers: at once, or at the pace of a GPU."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Timings of a server; by default it answers at once.

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


class Schedule:
    """When each token of one answer is due.

    Due times are counted from the request, not from the last token: `asyncio.sleep` may wake up a millisecond late,
    and a token that is late does not delay the next.
    """

    def __init__(self, pace: Pace, uncached: int) -> None:
        self._pace = pace
        self._clock = asyncio.get_running_loop().time
        self._first = self._clock() + pace.first_token(uncached)

    async def until(self, token: int) -> None:
        """Wait for token number `token` (from 0); others always get to run, also at no pace."""
        due = self._first + token * self._pace.seconds_per_token
        await asyncio.sleep(max(0.0, due - self._clock()))
