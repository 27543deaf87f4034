"""A model in this process that answers at once: what a run on two of them takes is our own time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any, cast

from paced_traces import ANSWER, Trace

from specreason_graph.contract.settings import Role
from specreason_graph.endpoint.image import Sight
from specreason_graph.endpoint.protocol import (
    FREE,
    ChatMessage,
    Encoded,
    End,
    Form,
    Likelihood,
    Marker,
    ModelCard,
    Reading,
    Readings,
    Sampling,
    Token,
    Usage,
)
from specreason_graph.testing import Script, tokenizer
from specreason_graph.testing.template import render

_TOKENIZER = tokenizer("a")
_SPELLED = [raw.decode(errors="replace") for raw in _TOKENIZER.spelling]


@dataclass(slots=True)
class Progress:
    """How far a run is: base and the draft of it know of each other no more than this."""

    asked: list[float] = field(default_factory=list)
    """When each step's verdict was asked for, by `time.perf_counter`."""
    judged: int = 0
    opening: int | None = None
    """Tokens of the first prompt."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a verdict to be asked for or given."""
        while not condition():
            await self._changed.wait()

    def changed(self) -> None:
        """Wake all who wait."""
        self._changed.set()
        self._changed = asyncio.Event()


class InstantEndpoint:
    """Base or draft of one run (see `protocol.Endpoint` for what each method promises).

    A step's tokens come one by one without a pause, but no earlier than they could be of use: the draft's next step
    when the last one is being judged, and base's own version of a step when that was rejected.
    """

    overlaps = True

    def __init__(self, role: Role, trace: Trace, progress: Progress, clock: Callable[[], float]) -> None:
        self._role = role
        self._trace = trace
        self._progress = progress
        self._clock = clock
        base, draft = (_ids(script) for script in trace.scripts())
        self._steps = base if role == "base" else draft
        self._places = {behind: place for place, behind in enumerate(accumulate(map(len, base), initial=0))}
        """From tokens behind the opening to the step that begins there."""

    @property
    def name(self) -> str:
        """The role."""
        return f"instant {self._role}"

    def pinned(self, session: str) -> InstantEndpoint:
        """There is only this one."""
        return self

    async def card(self) -> ModelCard:
        """A context for any run."""
        return ModelCard(f"instant-{self._role}", 1_000_000)

    async def render(
        self, messages: Sequence[ChatMessage], template: Mapping[str, Any], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """As a thinking model's template."""
        return _TOKENIZER.encode(render("think", messages))

    async def sight(self) -> Sight:
        """It sees nothing."""
        return Sight((), f"{self.name} takes no images")

    async def look(self, prompt: Sequence[int]) -> Usage:
        """It reads no more than ids."""
        return Usage(len(prompt), 0, 1)

    async def encode(self, text: str, *, control: bool = False) -> Encoded:
        """By the scripted servers' tokenizer."""
        ids = _TOKENIZER.encode(text)
        return Encoded(ids, [_SPELLED[token] for token in ids])

    async def decode(self, ids: Sequence[int]) -> str:
        """Likewise."""
        return _TOKENIZER.spell(ids).decode(errors="replace")

    async def generate(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        sampling: Sampling,
        boundary: str | None = None,
        close: Marker | None = None,
        form: Form = FREE,
    ) -> AsyncGenerator[Token | End, None]:
        """The step that comes behind the prompt, and without a boundary all that follow; behind a cue, the answer."""
        if self._progress.opening is None:
            self._progress.opening = len(prompt)
        place, written = self._places.get(len(prompt) - self._progress.opening), 0
        if place is None:
            yield Token(0, 0.0, ANSWER)
            yield End("end_of_turn", Usage(len(prompt), 0, 1))
            return
        for step in range(place, len(self._steps)):
            await self._progress.until(partial(self._may_write, step))
            for token in self._steps[step]:
                yield Token(token, -0.1, _SPELLED[token])
            written += len(self._steps[step])
            usage = Usage(len(prompt), 0, written)
            if step == len(self._steps) - 1 and close is not None:
                yield End("close", usage, (close.id, -0.1))
                return
            if boundary is not None:
                yield End("boundary", usage)
                return

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """The verdict of the trace, step by step."""
        progress, place = self._progress, self._progress.judged
        progress.asked.append(self._clock())
        progress.changed()
        label = _TOKENIZER.encode("9" if self._trace.steps[place].accepted else "1")[0]
        progress.judged += 1
        progress.changed()
        return Readings([Reading(label, {label: -0.1})], Usage(len(prompts[0]), 0, 1))

    async def likelihood(self, prompt: Sequence[int]) -> Likelihood | None:
        """Nothing asks for it here."""
        return None

    async def aclose(self) -> None:
        """There is nothing to close."""

    def _may_write(self, step: int) -> bool:
        return len(self._progress.asked) >= step if self._role == "draft" else self._progress.judged > step


def _ids(script: Script) -> list[list[int]]:
    """Each step's ids with the blank line behind it; behind the last one comes the end of the reasoning."""
    *before, last = cast(Sequence[str], script.steps)
    return [*(_TOKENIZER.encode(f"{text}\n\nx")[:-1] for text in before), _TOKENIZER.encode(last)]
