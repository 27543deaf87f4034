"""One generation, read in the background and handed out step by step."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass

from specreason_graph.contract.errors import TruncatedResponse
from specreason_graph.contract.state import Writing
from specreason_graph.endpoint.ids import Ids, marked
from specreason_graph.endpoint.protocol import Chunk, End, Endpoint, Marker, Sampling, Usage
from specreason_graph.generation.collect import Bounds, Collected

_BLANK_TRIES = 3
"""How often a model that opens with blank lines may go on behind them."""

_NOTHING = Usage(0, 0, 0)

_AHEAD = 2
"""Whole steps that may wait to be taken: one that follows while another is judged, and what comes meanwhile."""


@dataclass(frozen=True, slots=True)
class Prompted:
    """What a stream of steps is asked for."""

    endpoint: Endpoint
    ids: Ids
    """To go on from."""
    sampling: Sampling
    boundary: str
    close: Marker | None
    tokens: int
    """At most, in one request."""
    runs_on: bool
    """Whether it goes on behind a boundary: the next step then begins without a request of its own."""


class Stream:
    """A model that is writing. What it has written is only a cache: the run's ledgers say what is true.

    Blank lines are no step: the model goes on behind them, and they become the step's beginning. A model that has
    written nothing else after some tries gives a step of blank text, which the caller must not keep.
    """

    def __init__(self, prompted: Prompted) -> None:
        self.at = prompted.ids.mark
        """Mark of the ids behind which the next step that is taken begins."""
        self._prompted = prompted
        self._ready: deque[Collected] = deque()
        self._open = Collected()
        self._searched = 0
        self._blanks = 0
        self._cap: int | None = None
        self._bill = _Bill()
        self._failure: Exception | None = None
        self._over = False
        self._wasted = 0
        self._wake = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    @property
    def goes_on(self) -> bool:
        """Whether another step can come of it."""
        return bool(self._ready) or not self._over

    async def step(self, bounds: Bounds) -> tuple[Writing, list[Usage]]:
        """Take the next step, and what it cost; one that reaches a bound is cut there, and with it the stream.

        Raises:
            EndpointError: the server failed before the step was whole.
        """
        began = time.perf_counter()
        self._cap = bounds.tokens
        try:
            async with asyncio.timeout(bounds.seconds):
                await self._until(lambda: self._ready or self._over or len(self._open.ids) >= bounds.tokens)
        except TimeoutError:
            pass  # the clock, not the server: an endpoint's own timeout is an EndpointError
        if not self._ready and self._failure is not None:
            raise self._failure
        whole = bool(self._ready) and len(self._ready[0].ids) <= bounds.tokens
        got = self._ready.popleft() if self._ready else self._open
        if not whole:
            got.end, self._open = None, Collected()
            await self._stop()
        elif not self._prompted.runs_on:
            await asyncio.wait({self._task})  # a connection whose answer was read to its end can be used again
        if got.cut:
            got.trim(bounds.tokens)
        self.at = marked(self.at, got.ids)
        usages = self._bill.due()
        return Writing(
            text=got.text,
            ids=got.ids,
            logprobs=got.logprobs,
            starts=got.starts,
            cut=got.cut,
            closes=got.end is not None and got.end.why in ("close", "end_of_turn"),
            closing=list(got.end.closing) if got.end and got.end.closing else None,
            cached_tokens=usages[0].cached_tokens if usages else None,
            seconds=time.perf_counter() - began,
        ), usages

    async def cut(self) -> tuple[int, list[Usage]]:
        """Stop it, the server too. Returns how many tokens nobody took, and what has not been paid for yet."""
        await self._stop()
        return self._wasted, self._bill.due()

    async def _stop(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})  # not the task itself: whoever stops it may be cancelled, too
        self._wasted += sum(len(step.ids) for step in (*self._ready, self._open))
        self._ready.clear()
        self._open = Collected()

    async def _until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._wake.clear()
            await self._wake.wait()

    async def _read(self) -> None:
        try:
            while await self._request():
                pass
        except Exception as error:  # whoever takes the next step is told
            self._failure = error
        except asyncio.CancelledError:
            pass  # by `_stop`; kept in the task, its traceback would tie the stream and all it wrote into a cycle
        finally:
            self._over = True
            self._wake.set()

    async def _request(self) -> bool:
        """Read one request to its end, or until enough is ready. Returns whether another has to follow."""
        asked = self._prompted
        prompt = asked.ids.plus(self._open.ids)
        self._bill.opened(len(prompt))
        chunks = asked.endpoint.generate(
            prompt,
            max_tokens=asked.tokens - len(self._open.ids),
            sampling=asked.sampling,
            boundary=None if asked.runs_on else asked.boundary,
            close=asked.close,
        )
        ended = False
        async with aclosing(chunks):
            async for chunk in chunks:
                ended = chunk.end is not None
                self._bill.wrote(chunk)
                await self._take(chunk)
                if len(self._ready) == _AHEAD:
                    return False
                if self._cap is not None and len(self._open.ids) >= self._cap:
                    self._wake.set()
        if not ended:
            raise TruncatedResponse(f"{asked.endpoint.name}: a generation ended without saying why")
        return not self._ready and not asked.runs_on and len(self._open.ids) < asked.tokens

    async def _take(self, chunk: Chunk) -> None:
        """Put a chunk where it belongs: behind the open step, and what follows a boundary into the next one."""
        rest: Chunk | None = chunk
        while rest is not None:
            chunk, found = rest, self._boundary(rest.text)
            if found is None:
                self._open.add(chunk)
                if chunk.end is not None:
                    self._whole(chunk.end)
                return
            head, rest = await self._split(chunk, found - len(self._open.text))
            self._open.add(head)
            self._open.text = self._open.text[:found]
            self._searched = found
            self._blanks += 1
            if self._open.text.strip() or self._blanks == _BLANK_TRIES:
                self._whole(End("boundary", _NOTHING))

    def _boundary(self, text: str) -> int | None:
        """Where a boundary that some more text completes would end."""
        boundary, before = self._prompted.boundary, len(self._open.text)
        start = max(self._searched, before - len(boundary) + 1)
        at = (self._open.text[start:] + text).find(boundary)
        return None if at < 0 else start + at + len(boundary)

    async def _split(self, chunk: Chunk, characters: int) -> tuple[Chunk, Chunk | None]:
        """A chunk up to the token that holds its nth character, and what comes behind; that token stays whole.

        Several tokens come at once from a server that decodes speculatively, or when this client is slow.
        """
        behind = chunk.end if chunk.end is not None and chunk.end.why != "boundary" else None
        count, text = len(chunk.ids), chunk.text
        if count > 1:
            unfinished = self._open.ids[self._open.marks[-1][0] if self._open.marks else 0 :]
            for count in range(1, len(chunk.ids) + 1):
                text = await self._prompted.endpoint.decode([*unfinished, *chunk.ids[:count]])
                if len(text) >= characters:
                    break
        head = Chunk(chunk.text[: len(text)], chunk.ids[:count], chunk.logprobs[:count])
        if behind is None and (not self._prompted.runs_on or count == len(chunk.ids)):
            return head, None  # a server that stops at a boundary may have written more; it is not part of the step
        return head, Chunk(chunk.text[len(text) :], chunk.ids[count:], chunk.logprobs[count:], behind)

    def _whole(self, end: End) -> None:
        self._open.end = end
        self._ready.append(self._open)
        self._open, self._searched, self._blanks = Collected(), 0, 0
        self._wake.set()


class _Bill:
    """What a stream's requests cost, and has not been told yet."""

    def __init__(self) -> None:
        self._due: list[Usage] = []
        self._prompt = 0
        self._written = 0
        self._told = 0

    def opened(self, prompt_tokens: int) -> None:
        self._prompt, self._written, self._told = prompt_tokens, 0, 0

    def wrote(self, chunk: Chunk) -> None:
        self._written += len(chunk.ids)
        if chunk.end is not None:
            usage = chunk.end.usage
            whole = usage if self._prompt else Usage(0, 0, usage.completion_tokens - self._told)
            self._due.append(whole)
            self._prompt, self._told = 0, self._written

    def due(self) -> list[Usage]:
        """Since the last time; of a request that goes on, nobody knows yet what was cached."""
        due, self._due = self._due, []
        if self._prompt or self._written > self._told:
            due.append(Usage(self._prompt, None if self._prompt else 0, self._written - self._told))
            self._prompt, self._told = 0, self._written
        return due
