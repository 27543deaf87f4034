"""What base writes behind the reasoning, request by request: each goes on where the last one and what was given end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from specreason_graph.contract.settings import Role
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.protocol import FREE, Form, Marker, Usage
from specreason_graph.generation.cycle import ANSWER_LOOP
from specreason_graph.generation.passage import Bounds, Closer, Passage, collect
from specreason_graph.loop.run import Run


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
        self, form: Form = FREE, *, closers: Sequence[Closer] = (), on_text: Callable[[str], None] | None = None
    ) -> Passage:
        """Have the model go on, up to a closer, which is left out; what it writes is kept."""
        passage = await self.tried(form, closers=closers, on_text=on_text)
        self.grow(passage.ids, passage.text)
        return passage

    async def tried(
        self,
        form: Form = FREE,
        *,
        closers: Sequence[Closer] = (),
        on_text: Callable[[str], None] | None = None,
        most: int | None = None,
    ) -> Passage:
        """The same, and nothing of it is kept."""
        endpoint, passage = self.run.pair.endpoint(self.role), Passage()
        bounds = Bounds(self.left if most is None else min(most, self.left), self.run.clock.left())
        if bounds.tokens < 1 or bounds.seconds == 0:
            return passage
        began = time.perf_counter()
        close = next((Marker(it.text, it.id) for it in closers if it.is_one_token), None)
        sampling = self.run.sampling("finalize", self._requests)
        self._requests += 1
        try:
            await collect(
                endpoint,
                self.prompt,
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
            usage = passage.end.usage if passage.end and counted else Usage(len(self.prompt), None, passage.received)
            self.tokens += usage.completion_tokens
            self.run.bill.used(self.role, [usage], time.perf_counter() - began)
        self.loops = self.loops or passage.loops
        if passage.ended_with is None and passage.end is not None and passage.end.why == "close":
            passage.ended_with = next(it.text for it in closers if it.is_one_token)  # the server stopped by itself
        return passage

    def grow(self, ids: Sequence[int], text: str) -> None:
        """Put some ids behind it, and what they spell."""
        self.prompt, self.text, self.left = self.prompt.plus(ids), self.text + text, self.left - len(ids)


async def written(writing: Writing) -> dict[Role, list[int]]:
    """All ids behind the rendered question, as both models read them; the draft's where its tokenizer is another."""
    run = writing.run
    ids: dict[Role, list[int]] = {"base": writing.prompt[len(run.openings["base"].ids) :]}
    if not run.same_tokenizer:
        said = (await run.pair.draft.encode(writing.text, control=True)).ids if writing.text else []
        ids["draft"] = [*run.ledger("draft")[len(run.openings["draft"].ids) :], *said]
    return ids
