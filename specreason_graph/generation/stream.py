"""One generation, read in the background token by token and handed out step by step."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from specreason_graph.contract.errors import TruncatedResponse
from specreason_graph.contract.state import WrittenStep
from specreason_graph.endpoint.ids import Ids, fingerprint_behind
from specreason_graph.endpoint.protocol import End, Endpoint, Marker, Sampling, Token, Usage, boundaries
from specreason_graph.generation.bill import StreamCost
from specreason_graph.generation.cycle import in_circles
from specreason_graph.generation.passage import Bounds, Closer, Passage

_BLANK_TRIES = 3
"""How often a model that opens with blank lines may go on behind them."""

_AHEAD = 2
"""Whole steps that may wait to be taken: one that follows while another is judged, and what comes meanwhile."""

_BEHIND = 16
"""Tokens that may come behind what a server was told to stop at: a decoder of several tokens a pass has written some
by then. One that writes more ignores it, and is stopped."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a model is asked to write."""

    endpoint: Endpoint
    ids: Ids
    """To go on from."""
    sampling: Sampling
    boundary: str
    close: Marker | None
    step_tokens: int
    """Of the next step, at most."""
    room: int
    """Tokens that one request may have, if it goes on."""
    goes_on: bool
    """Whether it goes on behind a boundary: the next step then begins without a request of its own."""
    closers: Sequence[Closer] = ()
    """Texts that close the reasoning, as `close` does."""
    loop_tokens: int | None = None
    """So many of one cycle cut a step as a loop (`cycle.in_circles`); None: nothing does."""


class Stream:
    """A model that is writing. What it has written is only a cache: the run's ledgers say what is true.

    Blank lines are no step: the model goes on behind them, and they become the step's beginning. A model that has
    written nothing else after some tries gives a step of blank text, which the caller must not keep.

    Args:
        wanted: what is asked for.
        over: called when the server has nothing more to write for it, once or more.
        wrote: called with the tokens of each step, and the seconds that they took behind the first one.
        zero: when the run began, by `time.perf_counter`: its steps tell their times from there.
    """

    def __init__(
        self,
        wanted: Wanted,
        over: Callable[[], None] = lambda: None,
        wrote: Callable[[int, float], None] = lambda tokens, seconds: None,
        zero: float = 0.0,
    ) -> None:
        self.at = wanted.ids.fingerprint
        """Fingerprint of the ids behind which the next step that is taken begins."""
        self._wanted = wanted
        self._boundaries = boundaries(wanted.boundary)
        self._cap = wanted.step_tokens
        self._ready: deque[Passage] = deque()
        self._open = Passage()
        self._searched = 0
        self._blanks = 0
        self._tries = 0
        self._cost = StreamCost()
        self._failure: Exception | None = None
        self._over = False
        self._closed = False
        self._wasted = 0
        self._wake = asyncio.Event()
        self._when_over = over
        self._wrote = wrote
        self._zero = zero
        self._came, self._since, self._last = 0, 0.0, 0.0
        self._opened_at = time.perf_counter()
        self._task = asyncio.create_task(self._read())
        self._task.add_done_callback(self._end)  # also of a task that is cancelled before it has begun

    @property
    def goes_on(self) -> bool:
        """Whether another step can come of it."""
        return bool(self._ready) or not self._over

    async def step(self, bounds: Bounds) -> tuple[WrittenStep, list[Usage]]:
        """Take the next step, and what it cost; one that reaches a bound is cut there, and with it the stream.

        Raises:
            EndpointError: the server failed before the step was whole.
        """
        began = time.perf_counter()
        self._cap = bounds.tokens
        try:
            async with asyncio.timeout(bounds.seconds):
                await self._until(lambda: self._over or (self._wanted.goes_on and self._can_be_taken()))
        except TimeoutError:
            pass  # the clock, not the server: an endpoint's own timeout is an EndpointError
        if not self._ready and self._failure is not None:
            raise self._failure
        got = self._ready.popleft() if self._ready else self._opened()
        if len(got.tokens) > bounds.tokens:
            self._wasted += got.written - len(got.tokens)
            got.end, got.loops = None, False  # told of this bound, it would have seen no loop
        if got.cut:
            self._wasted += got.trim(bounds.tokens)
            self._waste()  # what was written behind it goes on from another text
        if got.cut or not self._wanted.goes_on:
            self.cancel()
            await self.stopped()
        self.at = fingerprint_behind(self.at, got.ids)
        usages = self._cost.due()
        return WrittenStep(
            text=got.text,
            ids=got.ids,
            logprobs=got.logprobs,
            starts=got.starts,
            cut=got.cut,
            loops=got.loops,
            closes=got.end is not None and got.end.why in ("close", "end_of_turn"),
            closing=list(got.end.closing) if got.end and got.end.closing else None,
            ended_with=got.ended_with,
            cached_tokens=usages[0].cached_tokens if usages else None,
            seconds=time.perf_counter() - began,
            began=got.began - self._zero,
            ended=got.ended - self._zero,
        ), usages

    def _can_be_taken(self) -> bool:
        return bool(self._ready) or len(self._open.tokens) >= self._cap

    def untaken(self) -> tuple[float, float]:
        """When what nobody took was written, until now if it still is; in active seconds of the run."""
        began = self._ready[0].began if self._ready else self._opened_at
        ended = time.perf_counter() if self._open.tokens or not self._ready else self._ready[-1].ended
        return began - self._zero, ended - self._zero

    def cancel(self) -> None:
        """Have it stop; nothing more is read, and the server is left as soon as its event loop comes to it."""
        if not self._task.get_loop().is_closed():
            self._task.cancel()

    async def stopped(self) -> None:
        """Wait until it has; whoever waits may be cancelled, which would cancel the task if that were awaited."""
        await asyncio.wait({self._task})

    def left(self) -> tuple[int, list[Usage]]:
        """Of a stream that was stopped: how many tokens nobody took, and what has not been paid for yet."""
        self._waste()
        wasted, self._wasted = self._wasted, 0
        self._when_over()
        return wasted, self._cost.due()

    def _waste(self) -> None:
        self._wasted += sum(passage.written for passage in (*self._ready, self._open))
        self._ready.clear()
        self._open = Passage()

    async def _until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._wake.clear()
            await self._wake.wait()

    def _end(self, task: asyncio.Task[None]) -> None:
        self._over = True
        self._told()  # also of what nobody takes
        self._wake.set()
        self._when_over()

    async def _read(self) -> None:
        try:
            while await self._request():
                pass
        except Exception as error:  # whoever takes the next step is told
            self._failure = error
        except asyncio.CancelledError:
            pass  # by `cancel`; kept in the task, its traceback would tie the stream and all it wrote into a cycle

    async def _request(self) -> bool:
        """Read one request to its end, or until enough is ready. Returns whether another has to follow."""
        wanted = self._wanted
        prompt = wanted.ids.plus(self._open.ids)
        self._cost.opened(len(prompt))
        self._came = 0
        said = wanted.endpoint.generate(
            prompt,
            max_tokens=(wanted.room if wanted.goes_on else wanted.step_tokens) - len(self._open.tokens),
            sampling=wanted.sampling,
            boundary=None if wanted.goes_on else wanted.boundary,
            close=wanted.close,
        )
        end: End | None = None
        async with aclosing(said):
            async for it in said:
                if isinstance(it, End):
                    end = it
                    self._cost.ended(end)
                    self._ended(end)
                    continue  # to the end: a connection whose answer was not read can't be used again
                self._cost.wrote()
                self._take(it)
                if self._closed:
                    return False
                if self._enough():
                    if wanted.goes_on and len(self._open.tokens) >= wanted.step_tokens:
                        self._ready.append(self._opened())  # at its bound: cut, but not lost
                    return False
        if end is None:
            raise TruncatedResponse(f"{wanted.endpoint.name}: a generation ended without saying why")
        self._tries += 1
        more = not self._ready and not wanted.goes_on and len(self._open.tokens) < wanted.step_tokens
        return more and self._tries < _BLANK_TRIES

    def _enough(self) -> bool:
        """Whether no more of this request is wanted: it is ahead as far as it may be, or at the step's bound."""
        written, most = len(self._open.tokens), self._wanted.step_tokens
        if not self._wanted.goes_on:  # the server stops by itself, and says what it cost
            return written >= _BEHIND + (0 if self._ready else most)
        if written >= self._cap:
            self._wake.set()
        return len(self._ready) == _AHEAD or written >= most

    def _take(self, token: Token) -> None:
        """Put a token where it belongs: the one that completes a boundary is the last of its step."""
        before = len(self._open.text)
        self._open.add(token)
        self._came, self._last = self._came + 1, time.perf_counter()
        if self._came == 1:
            self._since = self._last
        if self._ready and not self._wanted.goes_on:
            return
        lost = self._open.closed(self._wanted.closers)
        if lost is not None:
            self._wasted += lost
            self._closed = True
            self._whole()
            return
        if any(it in self._open.text[max(self._searched, before - len(it) + 1) :] for it in self._boundaries):
            self._searched = len(self._open.text)
            self._blanks += 1
            if self._open.text.strip() or self._blanks == _BLANK_TRIES:
                self._open.end = End("boundary", Usage())
                self._whole()
        elif in_circles(self._open.tokens, self._open.text, self._wanted.loop_tokens):
            self._open.loops = self._closed = True
            self._whole()

    def _ended(self, end: End) -> None:
        """The server has stopped: what is open is a step, but for what it wrote behind the boundary it stopped at."""
        if self._ready and not self._wanted.goes_on:
            return
        says = bool(self._open.text.strip()) if end.why == "boundary" else bool(self._open.tokens)
        if says or end.why in ("close", "end_of_turn"):
            self._open.end = end
            self._whole()

    def _whole(self) -> None:
        self._told()
        self._ready.append(self._opened())
        self._searched, self._blanks = 0, 0
        self._wake.set()

    def _told(self) -> None:
        self._wrote(self._came - 1, self._last - self._since)
        self._came, self._since = 1, self._last

    def _opened(self) -> Passage:
        opened, self._open = self._open, Passage()
        opened.began, opened.ended = self._opened_at, time.perf_counter()
        self._opened_at = opened.ended
        return opened
