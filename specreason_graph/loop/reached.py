"""Which models a run reaches: both, or base alone where the draft's server fails and the settings let it go on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from langchain_core.messages import AnyMessage

from specreason_graph.contract.errors import (
    UNAUTHORIZED,
    ConfigError,
    ContextOverflow,
    EndpointError,
    EndpointFailed,
    EndpointRefused,
    NoRoom,
)
from specreason_graph.contract.settings import Role, Settings
from specreason_graph.contract.state import Step
from specreason_graph.endpoint.protocol import Endpoint, ModelCard
from specreason_graph.endpoint.sight import tried
from specreason_graph.generation.bill import Bill
from specreason_graph.generation.ledger import Opening, encode_step
from specreason_graph.generation.live import LiveRun
from specreason_graph.loop.cue import cue
from specreason_graph.models.conversation import last_question
from specreason_graph.models.images import NO_IMAGES, Images, holds_images, taken_out
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Preset
from specreason_graph.models.turns import opening


class Cards(NamedTuple):
    """The models; of a draft that was never reached, no more than what its endpoint was told."""

    base: ModelCard
    draft: ModelCard
    alone: bool
    """Whether the draft's server failed."""

    @property
    def context(self) -> int:
        """Tokens that both have room for."""
        return min(self.base.context, self.draft.context)


def is_gone(error: EndpointError, settings: Settings) -> bool:
    """Whether it is the draft's server that failed, and base goes on alone then."""
    ours = isinstance(error, EndpointRefused) and error.status in UNAUTHORIZED
    return settings.degrade and error.role == "draft" and not ours


async def cards(pair: Pair, settings: Settings) -> Cards:
    """What the servers say of their models.

    Raises:
        EndpointError: base's server failed, or the draft's and the settings want both.
    """
    base = await pair.base.card()
    try:
        return Cards(base, await pair.draft.card(), alone=False)
    except EndpointError as error:
        if not is_gone(error, settings):
            raise
        return Cards(base, ModelCard(pair.config.draft.model or "", base.context), alone=True)


async def render(
    pair: Pair, messages: Sequence[AnyMessage], preset: Preset, settings: Settings, live: LiveRun, found: Cards
) -> bool:
    """The question for both models, unless an earlier node of the run has it. Returns whether base is alone.

    Alone, the draft's prompt is base's, which nobody sends; the next node tries again.
    """
    rendered_for = (preset, settings.tools, settings.boxed, found)
    if live.rendered_for == rendered_for:
        return found.alone

    try:
        text, images = await seen(pair, messages, live.fetched)
    except ConfigError:
        live.fetched.clear()  # what is no image now may be one when the run is resumed
        raise
    known = live.openings.get("base")  # of an earlier node, whose draft was gone

    async def rendered(role: Role) -> None:
        opened = await opening(pair, role, text, preset, settings.tools, boxed=settings.boxed, images=images)
        if role == "base" and known is not None and known.hash == opened.hash:
            live.openings[role] = known
        else:
            live.openings[role] = await looked_at(pair.endpoint(role), role, opened, live.overlap.bill)

    live.openings = {}
    of_draft = None if found.alone else asyncio.create_task(rendered("draft"))
    try:
        await rendered("base")
        if of_draft is not None:
            await of_draft
    except EndpointError as error:
        if "base" not in live.openings or not is_gone(error, settings):
            raise
    finally:
        if of_draft is not None:
            of_draft.cancel()
            await asyncio.gather(of_draft, return_exceptions=True)
    alone = "draft" not in live.openings
    live.openings = {"base": live.openings["base"], "draft": live.openings["base" if alone else "draft"]}
    live.rendered_for = None if alone else rendered_for
    return alone


async def seen(
    pair: Pair, messages: Sequence[AnyMessage], fetched: dict[str, bytes]
) -> tuple[Sequence[AnyMessage], Images]:
    """The conversation with its images taken out; as it is where there are none, or only before a question to a pair
    that takes none: it is told of those.

    Args:
        pair: whose models are asked.
        messages: the conversation.
        fetched: what was found at addresses before; what is found now is added.

    Raises:
        ConfigError: the question holds an image that can't be shown.
    """
    if not holds_images(messages):
        return messages, NO_IMAGES
    sight, question = await pair.base.sight(), last_question(messages)
    if sight.place:
        return await taken_out(messages, pair.config.image_urls, fetched, question)
    if holds_images(messages[question:]):
        raise ConfigError(f"messages: {sight.why_not}; leave the images out, or serve base as a model that sees")
    return messages, NO_IMAGES


async def looked_at(endpoint: Endpoint, role: Role, opened: Opening, bill: Bill) -> Opening:
    """The opening, once its model has seen the images in it; all that follows is behind them in its cache.

    Raises:
        NoRoom: they are more than its context has.
        ConfigError: the server can't make an image of what it was sent.
    """
    if not opened.ids.images:
        return opened
    try:
        usage = await endpoint.look(opened.ids)
    except ContextOverflow:
        raise NoRoom(
            f"messages: the question and its images are more tokens than {endpoint.name} has room for; send smaller "
            "images, or fewer"
        ) from None
    except (EndpointRefused, EndpointFailed) as failure:
        if failure.status in UNAUTHORIZED or not await _is_of_images(failure, endpoint, role):
            raise
        raise ConfigError(
            f"messages: {endpoint.name} refuses the images ({failure.status}); send them in another size or as PNG"
        ) from None
    bill.used(role, [usage])
    return replace(opened, ids=opened.ids.counted(usage.prompt_tokens))


async def _is_of_images(failure: EndpointRefused | EndpointFailed, endpoint: Endpoint, role: Role) -> bool:
    """Whether others would do; vLLM breaks (500) on some that it can't open, and sees a black square all the same."""
    if isinstance(failure, EndpointRefused):
        return True
    return role == "base" and failure.status == 500 and bool((await tried(endpoint)).place)


async def read_by_both(
    pair: Pair, live: LiveRun, steps: list[Step], preset: Preset, settings: Settings
) -> tuple[bool, list[Step]] | None:
    """Whether both models read one text as the same ids; and the steps in a form that both can go on behind.

    Steps that were kept while a draft of another tokenizer was gone are encoded for it now. None where that fails: it
    is still gone. To ask it all the same would mix up two models' ids.
    """
    try:
        if settings.answer_by == "draft":  # which is then asked for it in its own tokens
            await cue(pair, live, settings, preset)
        if await pair.same_tokenizer():
            return True, steps
        return False, [await _with_draft_ids(pair, live, step) for step in steps]
    except EndpointError as error:
        if not is_gone(error, settings):
            raise
        return None


async def _with_draft_ids(pair: Pair, live: LiveRun, step: Step) -> Step:
    if "draft" in step["ids"]:
        return step
    if step["text"] not in live.reencoded:
        live.reencoded[step["text"]] = (await encode_step(pair.draft, step["text"])).ids
    return Step(**{**step, "ids": {**step["ids"], "draft": live.reencoded[step["text"]]}})
