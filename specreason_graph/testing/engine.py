"""The pace of a server that advances in steps, as vLLM's engine does: what one request costs the others."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from specreason_graph.testing.pace import Schedule


class Engine:
    """Timings of one server; two servers need an engine each.

    All requests that are there share one step after the other. In a step, each sequence that is being decoded gets a
    token, and what the token budget leaves goes to prefills in the order the requests came, in chunks if need be. A
    sequence whose prefill ends in a step gets its first token from it. The step lasts

        `step + per_sequence * (sequences in it - 1) + prompt tokens in it / prompt_tokens_per_second`

    seconds, so a prefill stalls what is being decoded beside it. A request joins at the first boundary of steps after
    half a round trip, its tokens arrive another half after their step's end, and an abort that is half a round trip
    old takes effect at the next boundary: a step that has begun is always finished. A sequence that ends is gone at
    the end of its last step. Prompts of one request are prefilled as one, and decoded side by side.

    Args:
        step: seconds of a step that decodes one sequence.
        per_sequence: seconds that each further sequence adds to a step.
        prompt_tokens_per_second: speed of the prefill; cached tokens cost nothing.
        round_trip: seconds between client and server and back.
        budget: tokens that a step may have, decoded and prefilled together (vLLM's `max_num_batched_tokens`).
        tokens_per_step: tokens that a decoded sequence gets a step, on average: more than 1 is speculative decoding.
    """

    def __init__(
        self,
        *,
        step: float,
        per_sequence: float = 0.0,
        prompt_tokens_per_second: float = math.inf,
        round_trip: float = 0.0,
        budget: int = 2048,
        tokens_per_step: float = 1.0,
    ) -> None:
        self._step = step
        self._per_sequence = per_sequence
        self._rate = prompt_tokens_per_second
        self._half = round_trip / 2
        self._budget = budget
        self._tokens_per_step = tokens_per_step
        self._requests: list[_Request] = []
        self._running: asyncio.Task[None] | None = None

    def begin(self, uncached: int, sequences: int, *, ago: float = 0.0) -> Schedule:
        """A request that is on its way, or was `ago` seconds before."""
        request = _Request(self._half, ago, uncached, sequences)
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
                request.give(boundary, self._tokens_per_step)
            self._requests = [request for request in self._requests if not request.left_by(boundary)]

    def _scheduled(self, here: Sequence[_Request]) -> tuple[float, list[_Request]]:
        """How long the next step lasts, and who gets a token from it."""
        decoding = [request for request in here if not request.uncached]
        room = max(0, self._budget - sum(request.sequences for request in decoding))
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
        return seconds, [request for request in batch if not request.uncached]


class _Request:
    """One request's place in the engine, and when its tokens are due."""

    def __init__(self, half: float, ago: float, uncached: int, sequences: int) -> None:
        self._half = half
        self._clock = asyncio.get_running_loop().time
        self.arrives = self._clock() - ago + half
        self.uncached = max(1, uncached)  # the last prompt token is always computed: its output was asked for
        self.sequences = sequences
        self._due: list[float] = []
        self._last: int | None = None
        self._owed = 0.0
        self._leaves = math.inf
        self._given = asyncio.Event()

    async def until(self, token: int, *, last: bool) -> None:
        """The engine has to know before a step which tokens are the last."""
        if last:
            self._last = token
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

    def give(self, at: float, tokens: float) -> None:
        """Give it the tokens of a step that ends at `at`; the one out of the prefill comes alone."""
        self._owed = self._owed + tokens if self._due else 1.0
        whole = int(self._owed)
        self._owed -= whole
        self._due += [at + self._half] * whole
        self._given.set()


async def _until(time: float) -> None:
    await asyncio.sleep(max(0.0, time - asyncio.get_running_loop().time()))
