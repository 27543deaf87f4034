"""Images in a conversation: a word stands in for each while it is rendered, and then what the model has in its place.

So everything that is done to text is done to such messages as well, no server renders an image, and what goes into a
prompt is one placeholder, however many tokens the image takes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeGuard, TypeVar, cast

from langchain_core.messages import AnyMessage, BaseMessage

from specreason_graph.contract.errors import ConfigError
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.image import Image
from specreason_graph.endpoint.protocol import Endpoint
from specreason_graph.models.image_block import Source, is_image, shown, shows, source
from specreason_graph.models.image_file import from_base64, image
from specreason_graph.models.image_urls import fetch_all
from specreason_graph.models.presets import Preset
from specreason_graph.models.quoting import Quotes

OURS = "specreason:"
"""What a reference begins with that stands in for an image's bytes."""

_Message = TypeVar("_Message", bound=BaseMessage)

_LONGEST_NAME = 256
"""Characters of what only names an image; a longer address is kept as bytes are."""
_MOST, _MOST_BYTES = 250, 2**27
"""Images of a conversation, and what they are together: an address is a few letters, and what is there is not."""


class Images(NamedTuple):
    """Those of a conversation, in order, and what the words begin with that stand in for them."""

    stem: str = ""
    all: tuple[Image, ...] = ()

    async def read(self, endpoint: Endpoint, rendered: str, typed: Quotes | None, preset: Preset) -> Ids:
        """A rendered text's ids, with placeholders where images are, and what was typed read as text.

        Raises:
            ConfigError: the model takes no images, and the preset has no words for one.
        """

        async def read(text: str) -> list[int]:
            return await typed.ids(endpoint, text) if typed else (await endpoint.encode(text, control=True)).ids

        if not self.all:
            return Ids(await read(rendered))
        sight, word = await endpoint.sight(), re.compile(rf"{self.stem}(\d+)E")
        if sight.place:
            texts, shown = word.split(rendered)[::2], word.findall(rendered)
            ids = [await read(text) if text else [] for text in texts]
            joined = [*ids[0], *(token for text in ids[1:] for token in (*sight.place, *text))]
            return Ids(joined, [self.all[int(at)] for at in shown])
        if not preset.image_words:
            raise ConfigError(
                f"messages: {sight.why_not}; give preset {preset.name!r} image_words, which it is told in an image's "
                "place, or leave the images out"
            )
        return Ids(await read(word.sub(lambda _: preset.image_words, rendered)))


NO_IMAGES = Images()


def holds_bytes(block: object) -> bool:
    """Whether it is an image that was sent with the message, and not only named."""
    return is_image(block) and any(_is_long(value) for value in cast(dict[str, Any], block).values())


def _is_long(value: object) -> bool:
    """A text longer than a name, or one in what a provider puts it in."""
    if isinstance(value, dict):
        return any(map(_is_long, value.values()))
    return isinstance(value, str | bytes) and len(value) > _LONGEST_NAME


def named(block: Any) -> Any:
    """The reference that stands in for a block with an image's bytes; any other block itself."""
    if not holds_bytes(block):
        return block
    spelled = json.dumps(block, sort_keys=True, default=repr)
    return {"type": "image", "file_id": OURS + hashlib.sha256(spelled.encode()).hexdigest()}


def changed_blocks(message: _Message, change: Callable[[Any], Any]) -> _Message:
    """A message whose blocks are changed, the same one where none is."""
    blocks: Sequence[Any] = () if isinstance(message.content, str) else message.content
    new = [change(block) for block in blocks]
    same = all(one is other for one, other in zip(blocks, new, strict=True))
    return message if same else message.model_copy(update={"content": new})


def holds_images(messages: Sequence[BaseMessage]) -> bool:
    """Whether anybody but a model shows one."""
    return any(map(shown, messages))


async def taken_out(
    messages: Sequence[AnyMessage], allowed: Sequence[str], known: dict[str, bytes], question: int = 0
) -> tuple[list[AnyMessage], Images]:
    """The conversation as text, with a word in each image's place, and the images.

    One of an earlier turn that is only named, and can't be had any more, is left as it is: models are told of it.

    Args:
        messages: the conversation.
        allowed: how the addresses begin that images may be fetched from.
        known: what was fetched before, by its address; what is fetched now is added.
        question: where in the conversation the question begins.

    Raises:
        ConfigError: one is no image that can be shown.
    """
    stem = f"SHOWN{secrets.token_hex(8)}N"  # nobody can have typed it, in messages, calls or tools
    sources = [(at >= question, source(block)) for at, message in enumerate(messages) for block in shown(message)]
    if len(sources) > _MOST:
        raise _too_many()
    urls = {said.value: None for _, said in sources if _is_address(said) and said.value not in known}
    asked_for = {said.value for asked, said in sources if asked and _is_address(said)}
    await fetch_all(allowed, list(urls), known, within=_MOST_BYTES, spare=urls.keys() - asked_for)
    found: list[Image] = []
    size = 0
    words: list[str | None] = []
    for asked, said in sources:
        if said is not None and not asked and _is_lost(said, known):
            words.append(None)
            continue
        words.append(f"{stem}{len(found)}E")
        found.append(await asyncio.to_thread(image, _data(said, known)))  # a broken file may take a while
        size += len(found[-1].data)
        if size > _MOST_BYTES:
            raise _too_many()
    told = iter(words)

    def in_place(message: AnyMessage, block: Any) -> Any:
        word = next(told) if shows(message, block) else None
        return block if word is None else {"type": "text", "text": word}

    text = [changed_blocks(message, partial(in_place, message)) for message in messages]
    return text, Images(stem, tuple(found))


def _is_lost(said: Source, known: Mapping[str, bytes]) -> bool:
    """Whether an image is only named, and not to be had by its name."""
    if said.kind == "file_id":
        return not said.value.startswith(OURS)
    return _is_address(said) and not known[said.value]


def _is_address(said: Source | None) -> TypeGuard[Source]:
    return said is not None and said.kind == "url" and not said.has_bytes


def _too_many() -> ConfigError:
    return ConfigError(
        f"messages: their images are more than {_MOST}, or than {_MOST_BYTES} bytes together; send fewer"
    )


def _data(said: Source | None, known: Mapping[str, bytes]) -> bytes:
    match said:
        case Source("base64", data):
            return _decoded(data)
        case Source("url", url) if said.has_bytes:
            about, _, data = url.partition(",")
            if not about.lower().endswith(";base64"):
                raise ConfigError("messages: an image's data URL is not base64; write it as data:image/png;base64,…")
            return _decoded(data)
        case Source("url", url):
            return known[url]
        case Source("file_id", name) if name.startswith(OURS):
            raise ConfigError(
                "messages: an image was put away by a run that has not ended; resume that run, or take the image from "
                "its thread's specreason_images"
            )
        case Source("file_id"):
            raise ConfigError(
                "messages: an image is named by a file id, and the files of other providers can't be read here; send "
                "its bytes as base64"
            )
    raise ConfigError("messages: an image block has neither base64 nor a url; send its bytes as base64")


def _decoded(data: str) -> bytes:
    try:
        return from_base64(data)
    except ValueError:
        raise ConfigError("messages: an image's base64 can't be decoded; send its bytes as base64") from None
