"""What base writes behind the reasoning, request by request: each goes on where the last one and what was given end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from specreason_graph.contract.errors import EndpointError
from specreason_graph.contract.settings import Role
from specreason_graph.endpoint.ids import Ids, size
from specreason_graph.endpoint.protocol import FREE, Form, Marker, Usage
from specreason_graph.generation.cycle import ANSWER_LOOP
from specreason_graph.generation.ledger import Opening
from specreason_graph.generation.passage import Bounds, Closer, Passage, collect
from specreason_graph.loop.reached import is_gone
from specreason_graph.loop.run import Run
from specreason_graph.loop.watched import tell


@dataclass(slots=True)
class Writing:
    """A reply that grows."""

    run: Run
    role: Role
    prompt: Ids
    """Everything so far."""
    left: int = 0
    """Tokens that may still be added."""
    text: str = ""
    """What was added behind the reasoning."""
    cued: int = 0
    """Characters of that which have it begin, and are no part of the answer."""
    tokens: int = 0
    """That the model has written, thrown away ones included."""
    loops: bool = False
    """Whether the model was cut since it went in circles."""
    _requests: int = field(default=0, init=False)

    async def give(self, text: str, *, of_format: bool = False) -> None:
        """Put a text of ours behind it; markers in it are read as such; what is the format's is encoded once."""
        if not text:
            return
        pair = self.run.pair
        if of_format:
            ids = await pair.cue(self.role, text)
        else:
            ids = (await pair.endpoint(self.role).encode(text, control=True)).ids
        self.grow(ids, text)

    async def write(
        self,
        form: Form = FREE,
        *,
        closers: Sequence[Closer] = (),
        on_text: Callable[[str], None] | None = None,
        into: Passage | None = None,
    ) -> Passage:
        """Have the model go on, up to a closer, which is left out; what it writes is kept.

        Behind what `into` holds, if it is given: who gives it knows what there is when the server fails.
        """
        passage = await self.tried(form, closers=closers, on_text=on_text, into=into)
        self.grow(passage.ids, passage.text)
        return passage

    async def tried(
        self,
        form: Form = FREE,
        *,
        closers: Sequence[Closer] = (),
        on_text: Callable[[str], None] | None = None,
        most: int | None = None,
        into: Passage | None = None,
    ) -> Passage:
        """The same, and nothing of it is kept."""
        endpoint, passage = self.run.pair.endpoint(self.role), Passage() if into is None else into
        prompt, before = self.prompt.plus(passage.ids), passage.received
        tokens = self.left if most is None else min(most, self.left)
        bounds = Bounds(tokens - len(passage.tokens), self.run.clock.left())
        if bounds.tokens < 1 or bounds.seconds == 0:
            return passage
        said = self.text[self.cued :]
        tell(self.role, None, lambda: said + passage.text)
        began = time.perf_counter()
        close = next((Marker(it.text, it.id) for it in closers if it.is_one_token), None)
        sampling = self.run.sampling("finalize", self._requests)
        self._requests += 1
        try:
            await collect(
                endpoint,
                prompt,
                bounds,
                sampling,
                close=close,
                closers=closers,
                form=form,
                on_text=on_text,
                into=passage,
                loop_tokens=ANSWER_LOOP if self.run.settings.loop_detection else None,
            )
        finally:
            counted = passage.end is not None and passage.end.usage.prompt_tokens > 0  # by the server
            usage = (
                passage.end.usage if passage.end and counted else Usage(size(prompt), None, passage.received - before)
            )
            self.tokens += usage.completion_tokens
            self.run.bill.used(self.role, [usage], time.perf_counter() - began)
        self.loops = self.loops or passage.loops
        if passage.ended_with is None and passage.end is not None and passage.end.why == "close":
            passage.ended_with = next(it.text for it in closers if it.is_one_token)  # the server stopped by itself
        return passage

    def grow(self, ids: Sequence[int], text: str) -> None:
        """Put some ids behind it, and what they spell."""
        self.prompt, self.text, self.left = self.prompt.plus(ids), self.text + text, self.left - len(ids)


async def written(writing: Writing) -> tuple[dict[Role, Opening], dict[Role, list[int]]]:
    """The rendered question, and all ids behind it, as both models read them; the draft's where its tokenizer differs.

    A draft that is gone has neither: it reads the conversation anew.
    """
    run = writing.run
    other: Role = "draft" if writing.role == "base" else "base"
    own: list[int] = writing.prompt[len(run.openings[writing.role].ids) :]
    if run.same_tokenizer:
        return run.openings, {"base": own}
    try:
        said = (await run.pair.endpoint(other).encode(writing.text, control=True)).ids if writing.text else []
    except EndpointError as error:
        if not is_gone(error, run.settings):
            raise
        return {"base": run.openings["base"]}, {"base": own}
    return run.openings, {writing.role: own, other: [*run.ledger(other)[len(run.openings[other].ids) :], *said]}
