"""Which blocks of messages are images, in LangChain's shape or a provider's, and where each says that its bytes are."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any, Literal, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

_KINDS = ("image", "image_url", "input_image")
_NAMES = frozenset(
    {
        *("type", "image", "image_url", "url", "file_id", "id", "source", "source_type", "mime_type", "detail"),
        *("cache_control", "extras", "index", "metadata"),
    }
)
"""Fields that a block may have which only names an image."""
_SCHEME = re.compile(r"(https?|data):", re.IGNORECASE)
_ENCODED = re.compile(r"[A-Za-z0-9+/]{256,}")  # no word is as long


class Source(NamedTuple):
    """What a block has of its image; an address may be a data URL."""

    kind: Literal["base64", "url", "file_id"]
    value: str

    @property
    def has_bytes(self) -> bool:
        """Whether the image itself is in it."""
        return self.kind == "base64" or (self.kind == "url" and self.value[:5].lower() == "data:")


def is_image(block: object) -> bool:
    """Whether a message's block says that it is an image."""
    match block:
        case {"type": kind}:
            return kind in _KINDS
        case {"image": {"source": _}, **more}:  # Bedrock's, which says what it is by its only name
            return not more
    return False


def shows(message: BaseMessage, block: object) -> bool:
    """Whether a message shows an image by a block: a model draws it, and a tool's row may say the same."""
    if isinstance(message, AIMessage):
        return False
    if not isinstance(message, ToolMessage):
        return is_image(block)
    if not (isinstance(block, dict) and is_image(block)) or (found := source(block)) is None:
        return False
    is_named = found.kind == "file_id" or _SCHEME.match(found.value) is not None
    return found.has_bytes or (is_named and block.keys() <= _NAMES)


def shown(message: BaseMessage) -> list[dict[str, Any]]:
    """The images that a message shows."""
    blocks = () if isinstance(message.content, str) else message.content
    return [block for block in blocks if isinstance(block, dict) and shows(message, block)]


def source(block: dict[str, Any]) -> Source | None:
    """Where a block says that its image is; None: nowhere, or in no shape that is known.

    LangChain's own reading is not asked: it raises where a block has an `id` as well, or lacks its `mime_type`.
    """
    match {name: value for name, value in block.items() if value is not None}:
        case {"image_url": str(url)} | {"image_url": {"url": str(url)}}:
            return Source("url", url)
        case {"image_url": _}:
            return None
        case {"image": {"source": {"bytes": bytes() | bytearray() as data}}}:
            return Source("base64", b64encode(data).decode())
        case {"source_type": "id", "id": str(name)} | {"source": {"type": "file", "file_id": str(name)}}:
            return Source("file_id", name)
        case (
            {"source_type": "base64", "data": str(text)}
            | {"source": {"type": "base64", "data": str(text)}}
            | {"image": {"source": {"bytes": str(text)}}}
            | {"base64": str(text)}
        ):
            return Source("base64", text)
        case {"source": {"type": "url", "url": str(url)}} | {"url": str(url)}:
            return Source("url", url)
        case {"file_id": str(name)}:
            return Source("file_id", name)
    return None


def is_encoded(value: object) -> bool:
    """Whether something holds bytes, as they are or as base64: no model reads them."""
    if isinstance(value, dict):
        return any(map(is_encoded, value.values()))
    if isinstance(value, list):
        return any(map(is_encoded, value))
    return isinstance(value, bytes | bytearray) or (isinstance(value, str) and _ENCODED.search(value) is not None)
