"""What one model writes: a generation collected, and cut with care."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from specreason_graph.endpoint.protocol import FREE, Chunk, End, Endpoint, Form, Marker, Sampling


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a model may write: tokens, and seconds from now (None is no bound)."""

    tokens: int
    seconds: float | None = None


@dataclass(slots=True)
class Collected:
    """What a stream gave so far; `marks` are the (ids, characters) reached after each chunk that carried text."""

    text: str = ""
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    end: End | None = None

    def add(self, chunk: Chunk) -> None:
        """Take one more chunk."""
        self.starts += [len(self.text)] * len(chunk.ids)
        self.ids += chunk.ids
        self.logprobs += chunk.logprobs
        if chunk.text:
            self.text += chunk.text
            self.marks.append((len(self.ids), len(self.text)))
        self.end = chunk.end

    @property
    def cut(self) -> bool:
        """Whether the model was stopped in the middle of what it wrote."""
        return self.end is None or self.end.why == "length"

    def trim(self, most: int | None = None) -> None:
        """Keep `most` tokens, without what a next request could not go on from: half a character, trailing newlines.

        A prompt that ends inside a character is misread, and a boundary is found in one request's output only,
        so a newline at the end would hide the boundary that the next one completes.
        """
        while self.marks and (
            (most is not None and self.marks[-1][0] > most) or self.text[: self.marks[-1][1]].endswith(("\n", "\ufffd"))
        ):
            self.marks.pop()
        ids, characters = self.marks[-1] if self.marks else (0, 0)
        self.text, self.ids = self.text[:characters], self.ids[:ids]
        self.logprobs, self.starts = self.logprobs[:ids], self.starts[:ids]


async def collect(
    endpoint: Endpoint,
    prompt: Sequence[int],
    bounds: Bounds,
    sampling: Sampling,
    *,
    boundary: str | None = None,
    close: Marker | None = None,
    form: Form = FREE,
    on_text: Callable[[str], None] | None = None,
) -> Collected:
    """Read one generation to its end, or to the bounds; what is cut is trimmed.

    Args:
        endpoint: who writes.
        prompt: token ids to go on from.
        bounds: when to stop it.
        sampling: how tokens are drawn.
        boundary: text that ends it and is kept.
        close: marker that ends it and is dropped.
        form: what it has to be like.
        on_text: told of each new piece of text.
    """
    got = Collected()
    stream = endpoint.generate(
        prompt, max_tokens=bounds.tokens, sampling=sampling, boundary=boundary, close=close, form=form
    )
    try:
        async with asyncio.timeout(bounds.seconds), aclosing(stream):
            async for chunk in stream:
                got.add(chunk)
                if on_text is not None and chunk.text:
                    on_text(chunk.text)
    except TimeoutError:
        pass  # the clock, not the server: an endpoint's own timeout is an EndpointError
    if got.cut:
        got.trim()
    return got
