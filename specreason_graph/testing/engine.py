"""The pace of a server that advances in steps, as vLLM's engine does: what one request costs the others."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence

from specreason_graph.testing.pace import PLAIN, Decoder, Schedule


class Engine:
    """Timings of one server; two servers need an engine each.

    All requests that are there share one step after the other. In a step, each sequence that is being decoded gets as
    many tokens as its decoder's pass gives there (one without a decoder), and what the token budget leaves goes to
    prefills in the order the requests came, in chunks if need be. A sequence whose prefill ends in a step gets its
    first token from it. The step lasts

        `step + per_sequence * (sequences in it - 1) + prompt tokens in it / prompt_tokens_per_second`

    seconds, and `decoder.seconds` more where a sequence is being decoded, so a prefill stalls what is being decoded
    beside it. A request joins at the first boundary of steps after half a round trip, its tokens arrive another half
    after their step's end, and an abort that is half a round trip old takes effect at the next boundary: a step that
    has begun is always finished. A sequence that ends is gone at the end of its last step. Prompts of one request are
    prefilled as one, and decoded side by side, all as the first.

    With a decoder, each decoded sequence takes what is proposed and one token more of the budget, whatever it is given.
    Simplified, beside what `Decoder` leaves out: proposals for many sequences take as long as those for one, and the
    proposing model takes no time from the server of another model on the same GPU.

    Args:
        step: seconds of a step that decodes one sequence.
        per_sequence: seconds that each further sequence adds to a step.
        prompt_tokens_per_second: speed of the prefill; cached tokens cost nothing.
        round_trip: seconds between client and server and back.
        budget: tokens that a step may have, decoded and prefilled together (vLLM's `max_num_batched_tokens`).
        decoder: speculative decoding inside the server.
    """

    def __init__(
        self,
        *,
        step: float,
        per_sequence: float = 0.0,
        prompt_tokens_per_second: float = math.inf,
        round_trip: float = 0.0,
        budget: int = 2048,
        decoder: Decoder = PLAIN,
    ) -> None:
        self._step = step
        self._per_sequence = per_sequence
        self._rate = prompt_tokens_per_second
        self._half = round_trip / 2
        self._budget = budget
        self._decoder = decoder
        self._requests: list[_Request] = []
        self._running: asyncio.Task[None] | None = None

    @property
    def at_once(self) -> int:
        """Tokens that one step may give a sequence."""
        return self._decoder.proposed + 1

    def begin(self, uncached: int, sequences: int, *, place: int = 0, ago: float = 0.0) -> Schedule:
        """A request that is on its way, or was `ago` seconds before."""
        request = _Request(self._half, ago, uncached, sequences, self._decoder.passes(place + 1))
        self._requests.append(request)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(request.arrives))
        return request

    async def _run(self, boundary: float) -> None:
        """Step after step while there are requests; boundaries are computed, so that late wake-ups don't add up."""
        while self._requests:
            boundary = max(boundary, self._requests[0].arrives)
            await _until(boundary)
            self._requests = [request for request in self._requests if not request.left_by(boundary)]
            here = [request for request in self._requests if request.arrives <= boundary]
            seconds, served = self._scheduled(here)
            boundary += seconds
            await _until(boundary)
            for request in served:
                request.give(boundary)
            self._requests = [request for request in self._requests if not request.left_by(boundary)]

    def _scheduled(self, here: Sequence[_Request]) -> tuple[float, list[_Request]]:
        """How long the next step lasts, and who gets a token from it."""
        decoding = [request for request in here if not request.uncached]
        room = max(0, self._budget - self.at_once * sum(request.sequences for request in decoding))
        prefilling, chunks = [], 0
        for request in here:
            if request.uncached and chunks < room:
                chunk = min(request.uncached, room - chunks)
                request.uncached -= chunk
                chunks += chunk
                prefilling.append(request)
        batch = [*decoding, *prefilling]
        if not batch:
            return 0.0, []
        others = sum(request.sequences for request in batch) - 1
        seconds = self._step + self._per_sequence * others + chunks / self._rate
        seconds += self._decoder.seconds if decoding else 0.0
        return seconds, [request for request in batch if not request.uncached]


class _Request:
    """One request's place in the engine, and when its tokens are due."""

    def __init__(self, half: float, ago: float, uncached: int, sequences: int, passes: Iterator[int]) -> None:
        self._half = half
        self._clock = asyncio.get_running_loop().time
        self.arrives = self._clock() - ago + half
        self.uncached = max(1, uncached)  # the last prompt token is always computed: its output was asked for
        self.sequences = sequences
        self._due: list[float] = []
        self._last: int | None = None
        self._passes = passes
        self._leaves = math.inf
        self._given = asyncio.Event()

    async def until(self, token: int, *, last: int | None) -> None:
        """The engine has to know before a step whether it gives the last token."""
        self._last = last
        while len(self._due) <= token:
            self._given.clear()
            await self._given.wait()
        await _until(self._due[token])

    def close(self) -> None:
        """The news takes half a round trip."""
        self._leaves = self._clock() + self._half

    def left_by(self, boundary: float) -> bool:
        """Whether it is over, or its client gone."""
        return self._leaves <= boundary or (self._last is not None and len(self._due) > self._last)

    def give(self, at: float) -> None:
        """Give it the tokens of a step that ends at `at`; the one out of the prefill comes alone."""
        self._due += [at + self._half] * (next(self._passes) if self._due else 1)
        self._given.set()


async def _until(time: float) -> None:
    await asyncio.sleep(max(0.0, time - asyncio.get_running_loop().time()))
