"""One generation, read in the background token by token and handed out step by step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from specreason_graph.contract.errors import TruncatedResponse
from specreason_graph.contract.state import WrittenStep
from specreason_graph.endpoint.ids import Ids, fingerprint_behind, size
from specreason_graph.endpoint.protocol import End, Endpoint, Marker, Sampling, Usage
from specreason_graph.generation.bill import StreamCost
from specreason_graph.generation.cutter import BLANK_TRIES, Cutter
from specreason_graph.generation.passage import Bounds, Closer

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

    Of a model that writes nothing but blank lines it gives a step of blank text, which the caller must not keep.

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
        self._steps = Cutter(wanted.boundary, wanted.closers, wanted.loop_tokens, one=not wanted.goes_on, wrote=wrote)
        self._cap = wanted.step_tokens
        self._tries = 0
        self._cost = StreamCost()
        self._failure: Exception | None = None
        self._over = False
        self._wake = asyncio.Event()
        self._when_over = over
        self._zero = zero
        self._task = asyncio.create_task(self._read())
        self._task.add_done_callback(self._end)  # also of a task that is cancelled before it has begun

    @property
    def goes_on(self) -> bool:
        """Whether another step can come of it."""
        return bool(self._steps.whole) or not self._over

    @property
    def text(self) -> str:
        """What there is of the next step."""
        return (self._steps.whole[0] if self._steps.whole else self._steps.open).text

    async def step(self, bounds: Bounds) -> tuple[WrittenStep, list[Usage]]:
        """Take the next step, and what it cost; one that reaches a bound is cut there, and with it the stream.

        Raises:
            EndpointError: the server failed before the step was whole.
        """
        began, steps = time.perf_counter(), self._steps
        self._cap = bounds.tokens
        try:
            async with asyncio.timeout(bounds.seconds):
                await self._until(lambda: self._over or (self._wanted.goes_on and self._can_be_taken()))
        except TimeoutError:
            pass  # the clock, not the server: an endpoint's own timeout is an EndpointError
        if not steps.whole and self._failure is not None:
            raise self._failure
        got = steps.whole.popleft() if steps.whole else steps.taken()
        if len(got.tokens) > bounds.tokens:
            steps.wasted += got.written - len(got.tokens)
            got.end, got.loops = None, False  # told of this bound, it would have seen no loop
        if got.cut:
            steps.wasted += got.trim(bounds.tokens)
            steps.waste()  # what was written behind it goes on from another text
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
        return bool(self._steps.whole) or len(self._steps.open.tokens) >= self._cap

    def untaken(self) -> tuple[float, float]:
        """When what nobody took was written, until now if it still is; in active seconds of the run."""
        began, ended = self._steps.untaken()
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
        self._steps.waste()
        wasted, self._steps.wasted = self._steps.wasted, 0
        self._when_over()
        return wasted, self._cost.due()

    async def _until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._wake.clear()
            await self._wake.wait()

    def _end(self, task: asyncio.Task[None]) -> None:
        self._over = True
        self._steps.told()  # also of what nobody takes
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
        wanted, steps = self._wanted, self._steps
        prompt = wanted.ids.plus(steps.open.ids)
        self._cost.opened(size(prompt))
        steps.requested()
        said = wanted.endpoint.generate(
            prompt,
            max_tokens=(wanted.room if wanted.goes_on else wanted.step_tokens) - len(steps.open.tokens),
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
                    steps.ended(end)
                    self._wake.set()
                    continue  # to the end: a connection whose answer was not read can't be used again
                self._cost.wrote()
                steps.add(it)
                if self._can_be_taken():
                    self._wake.set()
                if steps.closed:
                    return False
                if self._enough():
                    if wanted.goes_on and len(steps.open.tokens) >= wanted.step_tokens:
                        steps.whole.append(steps.taken())  # at its bound: cut, but not lost
                    return False
        if end is None:
            raise TruncatedResponse(f"{wanted.endpoint.name}: a generation ended without saying why")
        self._tries += 1
        more = not steps.whole and not wanted.goes_on and len(steps.open.tokens) < wanted.step_tokens
        return more and self._tries < BLANK_TRIES

    def _enough(self) -> bool:
        """Whether no more of this request is wanted: it is ahead as far as it may be, or at the step's bound."""
        written, most, whole = len(self._steps.open.tokens), self._wanted.step_tokens, len(self._steps.whole)
        if not self._wanted.goes_on:  # the server stops by itself, and says what it cost
            return written >= _BEHIND + (0 if whole else most)
        return whole == _AHEAD or written >= most
