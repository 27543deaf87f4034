"""A stream that breaks goes on from the tokens that are there.

A prompt is token ids, so prompt and tokens are the next prompt: at the same server, or at the replica that the run
goes to then. What the new request can't know is kept here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from specreason_graph.contract.errors import EndpointError
from specreason_graph.endpoint.around import Around
from specreason_graph.endpoint.ids import Ids, size
from specreason_graph.endpoint.protocol import FREE, End, Form, Marker, Sampling, Token, Usage, boundaries
from specreason_graph.endpoint.retries import is_passing

_BREAKS = 4
"""Of one generation; each costs a prefill of all that is there."""


class Resumed(Around):
    """A server, or several, whose streams may break (see `protocol.Endpoint` for what each method promises)."""

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
        """Goes on behind a break with as many tokens less; usage is that of all requests together.

        A boundary or a stop that the break falls into is found here, since servers look at one request's output only.
        Sampling goes on with another seed, made of the first one and the place: the tokens are drawn from the same
        distribution, but are not those that an unbroken stream would have drawn (greedy ones are, up to near-ties).
        Tokens without text are held until the character that they begin is whole, so that none is cut by a break.

        Raises:
            EndpointError: it broke before a token came, too often, or where an answer of a `form` had begun that has
                to fit a schema or choices: nobody can go on in the middle of those.
        """
        stops, written, paid, edge = boundaries(boundary) if boundary else list(form.stop), list[Token](), Usage(), ""
        reach = max(map(len, stops), default=1) - 1
        for breaks in range(_BREAKS + 1):
            before, behind, held = len(written), "", list[Token]()
            stream = self._endpoint.generate(
                _plus(prompt, written),
                max_tokens=max_tokens - before,
                sampling=replace(sampling, seed=sampling.seed ^ before),
                boundary=boundary,
                close=close,
                form=form,
            )
            try:
                async with aclosing(stream):
                    async for said in stream:
                        if isinstance(said, End):
                            for token in held:
                                yield token
                            yield replace(said, usage=paid + said.usage) if breaks else said
                            continue  # to the end: a connection whose answer was not read can't be used again
                        held.append(said)
                        if not said.text:
                            continue
                        written += held
                        for token in held:
                            yield token
                        held = []
                        if edge and len(behind) < reach:
                            behind += said.text
                            if _across(edge, behind, stops):
                                break
                    else:
                        return
            except EndpointError as error:
                fixed = form.schema is not None or form.choices
                if not is_passing(error) or len(written) == before or fixed or breaks == _BREAKS:
                    raise
            paid += Usage(size(prompt) + before, None, len(written) - before + len(held))
            text = "".join(token.text for token in written)
            if any(stop in text for stop in stops):
                yield End("boundary", paid)
                return
            if len(written) >= max_tokens:
                yield End("length", paid)
                return
            edge = text[max(0, len(text) - reach) :]


def _plus(prompt: Sequence[int], written: Sequence[Token]) -> Sequence[int]:
    ids = [token.id for token in written]
    return prompt.plus(ids) if isinstance(prompt, Ids) else [*prompt, *ids]


def _across(edge: str, behind: str, stops: Sequence[str]) -> bool:
    """Whether a stop begins in what was written before a break and ends behind it."""
    return any(
        stop in edge[max(0, len(edge) - len(stop) + 1) :] + behind[: len(stop) - 1] for stop in stops if len(stop) > 1
    )
