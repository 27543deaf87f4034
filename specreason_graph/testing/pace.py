"""How fast a scripted server answers: at once, or at the pace of a GPU that has a request to itself."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Decoder:
    """Speculative decoding inside a server: another model proposes tokens, and a pass keeps those that it would have
    written itself.

    A request's first token comes out of its prefill, alone; then one pass follows the other, and all tokens of a pass
    come at the same moment. What is left out: the proposing model reads its prompts in no time, whoever asks for one
    token pays for no proposals, and reading the proposed tokens takes a pass no longer.

    Example:
        Decoder(gives=(3, 2, 1), proposed=2, seconds=0.01)  # of three tokens, the first two are always proposed right
    """

    gives: tuple[int, ...]
    """Tokens that a pass gives, by the place in the text where it begins: tokens before it, prompt included. Behind the
    last place the first one comes again."""
    proposed: int
    """Tokens that are proposed a pass; none gives more than these and one of its own."""
    seconds: float
    """What proposing them adds to a pass."""

    def __post_init__(self) -> None:
        if not self.gives or min(self.gives) < 1 or max(self.gives) > self.proposed + 1:
            raise ValueError(f"gives: a pass that proposes {self.proposed} gives 1 to {self.proposed + 1} tokens")

    def passes(self, place: int) -> Iterator[int]:
        """Tokens of one pass after the other, without end; the first begins at that place."""
        while True:
            given = self.gives[place % len(self.gives)]
            yield given
            place += given


PLAIN = Decoder(gives=(1,), proposed=0, seconds=0.0)
"""A token a pass."""


class Schedule(Protocol):
    """When each token of one answer is due."""

    async def until(self, token: int, *, last: int | None) -> None:
        """Wait for token number `token` (from 0).

        Args:
            token: which one.
            last: the number of the answer's last token; None while it is none of the next `ServerPace.at_once`.
        """

    def close(self) -> None:
        """The answer was read to its end, or nobody wants the rest of it."""


class ServerPace(Protocol):
    """Timings of a server: a `Pace`, or an `Engine` where what one request does slows the others down."""

    @property
    def at_once(self) -> int:
        """Tokens that one pass may give an answer."""

    def begin(self, uncached: int, sequences: int, *, place: int = 0, ago: float = 0.0) -> Schedule:
        """A request came in.

        Args:
            uncached: tokens of all its prompts that are not in the prefix cache.
            sequences: its prompts.
            place: where its answer begins: tokens of the (first) prompt.
            ago: seconds that the scripted server itself took to get here: they are no part of the pace.
        """


@dataclass(frozen=True, slots=True)
class Pace:
    """Timings of a server on which no request disturbs another; by default it answers at once.

    The first token of an answer comes out of the prefill, as on a real engine: n tokens behind p uncached prompt
    tokens take `ttft + p / prompt_tokens_per_second + (n - 1) * seconds_per_token` seconds. With a decoder it is as
    many passes as give the n - 1 tokens, each of `seconds_per_token + decoder.seconds`.
    """

    ttft: float = 0.0
    """Seconds before the prefill begins: round trip and queue."""
    seconds_per_token: float = 0.0
    """Seconds from one generated token to the next."""
    prompt_tokens_per_second: float = math.inf
    """Speed of the prefill; cached tokens cost nothing."""
    decoder: Decoder = PLAIN
    """Speculative decoding inside it."""

    @property
    def at_once(self) -> int:
        """Tokens that one pass may give an answer."""
        return self.decoder.proposed + 1

    def first_token(self, uncached: int) -> float:
        """Seconds from a request to its first token."""
        return self.ttft + uncached / self.prompt_tokens_per_second

    def begin(self, uncached: int, sequences: int, *, place: int = 0, ago: float = 0.0) -> Schedule:
        """Prompts of one request are decoded side by side, all as the first one, so `sequences` costs nothing."""
        return _Alone(self, uncached, place, ago)


class _Alone:
    """A schedule that only its own request has a say in.

    Due times are counted from the request, not from the last token: `asyncio.sleep` may wake up a millisecond late,
    and a token that is late does not delay the next.
    """

    def __init__(self, pace: Pace, uncached: int, place: int, ago: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._first = self._clock() - ago + pace.first_token(uncached)
        self._pass = pace.seconds_per_token + pace.decoder.seconds
        self._passes = enumerate(pace.decoder.passes(place + 1), 1)
        self._behind = 0  # passes behind the first token
        self._given = 1

    async def until(self, token: int, *, last: int | None) -> None:
        """Others always get to run, also at no pace."""
        while self._given <= token:
            self._behind, given = next(self._passes)
            self._given += given
        due = self._first + self._behind * self._pass
        await asyncio.sleep(max(0.0, due - self._clock()))

    def close(self) -> None:
        """Nobody else waits for this one to end."""
