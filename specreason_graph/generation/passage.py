"""What one model writes in one go: tokens in a row, collected, and cut with care."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import accumulate

from specreason_graph.endpoint.protocol import FREE, End, Endpoint, Form, Marker, Sampling, Token, Usage
from specreason_graph.endpoint.spelling import HALF
from specreason_graph.generation.cycle import in_circles


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a model may write: tokens of its own, and seconds from now (None is no bound)."""

    tokens: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Closer:
    """A text that closes the reasoning, found in what a model writes: it may be several tokens."""

    text: str
    id: int
    """Its first token; what a judge asks for."""
    is_one_token: bool
    begins_a_line: bool
    """Whether it counts at the beginning of a line only."""

    def find(self, text: str, start: int) -> int:
        """Where it is in a text, searched from `start`; -1 where it is not."""
        at = text.find(self.text, max(0, start))
        while at > 0 and self.begins_a_line and text[at - 1] != "\n":
            at = text.find(self.text, at + 1)
        return at


@dataclass(slots=True)
class Passage:
    """Tokens in the order they were written; `text` is what they spell."""

    tokens: list[Token] = field(default_factory=list)
    text: str = ""
    end: End | None = None
    """None as long as it goes on, and where it was cut."""
    ended_with: str | None = None
    """The text of the `Closer` that ended it."""
    received: int = 0
    """Tokens that it had before it was trimmed."""
    loops: bool = False
    """Whether it was cut since it went in circles."""
    began: float = 0.0
    ended: float = 0.0
    """When it was written, by `time.perf_counter`; what is read step by step says it."""

    def add(self, token: Token) -> None:
        """Take one more token."""
        self.tokens.append(token)
        self.text += token.text
        self.received += 1

    @property
    def ids(self) -> list[int]:
        """Of each token."""
        return [token.id for token in self.tokens]

    @property
    def logprobs(self) -> list[float]:
        """Of each token."""
        return [token.logprob for token in self.tokens]

    @property
    def starts(self) -> list[int]:
        """Where in the text each token begins, in characters."""
        return [0, *accumulate(len(token.text) for token in self.tokens)][: len(self.tokens)]

    @property
    def written(self) -> int:
        """Tokens, the one that ended the turn or the reasoning included."""
        return len(self.tokens) + (self.end is not None and self.end.closing is not None)

    @property
    def cut(self) -> bool:
        """Whether the model was stopped in the middle of what it wrote."""
        return self.end is None or self.end.why == "length"

    def closed(self, closers: Sequence[Closer]) -> int | None:
        """End it before a closer that its last token completes, the first of several.

        Returns how many tokens behind the closer's first are lost; None where there is none.
        """
        before = len(self.text) - len(self.tokens[-1].text)
        found = [(at, closer) for closer in closers if (at := self._place(closer, before)) >= 0]
        if not found:
            return None
        at, closer = min(found, key=lambda one: one[0])
        kept = sum(start + len(token.text) <= at for start, token in zip(self.starts, self.tokens, strict=True))
        kept = min(kept, len(self.tokens) - 1)  # of a control token, some servers give no text
        first, *more = self.tokens[kept:]
        del self.tokens[kept:]
        self.text = "".join(token.text for token in self.tokens)
        self.end, self.ended_with = End("close", Usage(), (first.id, first.logprob)), closer.text
        return len(more)

    def _place(self, closer: Closer, before: int) -> int:
        """Where a closer begins that the last token, which begins at `before`, completes."""
        if closer.is_one_token and self.tokens[-1].id == closer.id:
            return before
        return closer.find(self.text, before - len(closer.text) + 1)

    def trim(self, most: int | None = None, *, newlines: bool = True) -> int:
        """Keep `most` tokens, without what a next request could not go on from. Returns how many were dropped.

        A prompt that ends inside a character is misread, and a boundary is found in one request's output only,
        so a newline at the end would hide the boundary that the next one completes (`newlines` drops it).
        """
        before, ends = len(self.tokens), (HALF, "\n") if newlines else (HALF,)
        del self.tokens[before if most is None else most :]
        while self.tokens and (not self.tokens[-1].text or self.tokens[-1].text.endswith(ends)):
            self.tokens.pop()
        self.text = "".join(token.text for token in self.tokens)
        return before - len(self.tokens)


async def collect(
    endpoint: Endpoint,
    prompt: Sequence[int],
    bounds: Bounds,
    sampling: Sampling,
    *,
    close: Marker | None = None,
    closers: Sequence[Closer] = (),
    form: Form = FREE,
    on_text: Callable[[str], None] | None = None,
    into: Passage | None = None,
    loop_tokens: int | None = None,
) -> Passage:
    """Read one generation to its end, to the bounds, or to a loop; what is cut ends with a whole character.

    Args:
        endpoint: who writes.
        prompt: token ids to go on from.
        bounds: when to stop it.
        sampling: how tokens are drawn.
        close: marker that ends it and is dropped.
        closers: texts that end it and are dropped; servers need not know them.
        form: what it has to be like; its stops end it, and are kept.
        on_text: told of each new piece of text.
        into: where it is collected, for who has to know what there is of it when it fails.
        loop_tokens: so many of one cycle cut it as a loop (`cycle.in_circles`); None: it may go on as it likes.
    """
    got = Passage() if into is None else into
    stream = endpoint.generate(prompt, max_tokens=bounds.tokens, sampling=sampling, close=close, form=form)
    try:
        async with asyncio.timeout(bounds.seconds), aclosing(stream):
            async for said in stream:
                if isinstance(said, End):
                    got.end = said
                    continue
                got.add(said)
                if got.closed(closers) is not None:
                    break
                if on_text is not None and said.text:
                    on_text(said.text)
                if in_circles(got.tokens, got.text, loop_tokens):
                    got.loops = True
                    break
    except TimeoutError:
        pass  # the clock, not the server: an endpoint's own timeout is an EndpointError
    if got.cut:
        got.trim(newlines=False)
    return got
