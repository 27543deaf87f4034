"""Turns that go on token by token: a reply holds the ids that were written for it, and the next run begins behind them.

A conversation that is rendered anew reads the same, but a tokenizer may join its steps otherwise, and the prefix cache
ends there. So base's cache holds over a whole tool loop.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from array import array
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage, BaseMessage

from specreason_graph.contract.errors import ConfigError, EndpointFailed, EndpointRefused
from specreason_graph.contract.settings import Role
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.protocol import ChatMessage
from specreason_graph.endpoint.retries import is_passing
from specreason_graph.generation.ledger import Opening
from specreason_graph.models.conversation import REASONING, chat_messages, digest, kept_since, last_question
from specreason_graph.models.images import NO_IMAGES, Images
from specreason_graph.models.pair import Pair, as_opening
from specreason_graph.models.presets import Preset

_MOST_BYTES = 2**24
"""Of a record that is unpacked, four a token: messages may come from anybody."""


class Tokens(TypedDict):
    """What a reply's metadata holds of its ids; a reply that was changed since, or stands elsewhere, is not gone by."""

    said: str
    """Hash of the reply's text, calls and reasoning: a person may have changed any."""
    openings: dict[str, str]
    """Hash of the ids that it was written behind, by role."""
    ids: dict[str, str]
    """All that was written for it, by role: 32 bits an id, compressed, in base 64."""


def tokens(reply: AIMessage, openings: Mapping[Role, Opening], written: Mapping[Role, Sequence[int]]) -> Tokens:
    """The record for a reply's metadata."""
    return Tokens(
        said=_said(reply),
        openings={role: opening.hash for role, opening in openings.items()},
        ids={role: _packed(ids) for role, ids in written.items()},
    )


def spent(messages: Sequence[BaseMessage]) -> int:
    """Tokens of reasoning that the replies since the user's last message have kept."""
    told = [_about(message).get("reasoning_tokens") for message in messages[last_question(messages) :]]
    return sum(max(0, tokens) for tokens in told if isinstance(tokens, int))


async def opening(
    pair: Pair,
    role: Role,
    messages: Sequence[AnyMessage],
    preset: Preset,
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    boxed: bool = False,
    images: Images = NO_IMAGES,
) -> Opening:
    """The conversation with the assistant's turn, and for thinking models the reasoning, open.

    Token-exact behind replies of this user turn (of all, where the preset keeps reasoning always) that hold their ids.

    Raises:
        ConfigError: there is no question, or something that can't be told to a model.
    """
    told = partial(chat_messages, preset=preset, boxed=boxed, tools=bool(tools))
    chat = told(messages)
    since = kept_since(messages, preset)
    known = [at for at, message in enumerate(messages) if at > since and _about(message).get("tokens")]
    if not known:
        return await pair.opening(role, chat, preset, tools, images)
    so_far = await pair.opening(role, told(messages[: known[0]]), preset, tools, images)
    place = (await pair.endpoint(role).sight()).place if images.all else ()
    for at, until in zip(known, [*known[1:], len(messages)], strict=True):
        ids = _written(messages[at], role, so_far.hash)
        following = told(messages[:until])[at + 1 :]
        if ids is not None and not set(place).isdisjoint(ids):  # a model wrote it, and an image would be put there
            ids = None
        bridge = None if ids is None else await _bridge(pair, role, following, preset, images)
        if ids is None or bridge is None:
            return await pair.opening(role, chat, preset, tools, images)
        so_far = as_opening(Ids([*so_far.ids, *ids, *bridge], [*so_far.ids.images, *bridge.images]))
    return so_far


async def _bridge(
    pair: Pair, role: Role, following: Sequence[ChatMessage], preset: Preset, images: Images
) -> Ids | None:
    """None where the template does not take these messages alone."""
    try:
        return await pair.bridge(role, following, preset, images)
    except (ConfigError, EndpointRefused, EndpointFailed) as error:
        if is_passing(error):  # a server that is down for a moment says nothing of its template
            raise
        return None


def _about(message: BaseMessage) -> Mapping[str, Any]:
    about = message.response_metadata.get("specreason") if isinstance(message, AIMessage) else None
    return about if isinstance(about, Mapping) else {}


def _written(message: BaseMessage, role: Role, opening: str) -> list[int] | None:
    """A reply's ids for one model; None where they are of other text than it has now, or of another conversation."""
    record: Any = _about(message).get("tokens")
    try:
        if (
            not isinstance(message, AIMessage)
            or record["said"] != _said(message)
            or record["openings"][role] != opening
        ):
            return None
        return _unpacked(record["ids"].get(role) or record["ids"]["base"])
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error, zlib.error):  # not one of ours
        return None


def _said(reply: AIMessage) -> str:
    calls = [[call["name"], call["args"], call["id"]] for call in reply.tool_calls]
    return digest([reply.text, calls, reply.additional_kwargs.get(REASONING)])


def _packed(ids: Sequence[int]) -> str:
    return base64.b64encode(zlib.compress(array("I", ids).tobytes())).decode()


def _unpacked(text: str) -> list[int]:
    return array("I", zlib.decompressobj().decompress(base64.b64decode(text, validate=True), _MOST_BYTES)).tolist()
