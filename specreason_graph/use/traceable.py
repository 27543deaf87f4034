"""Messages as LangChain can read them: it spells data blocks anew, and stumbles where one lacks something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    convert_to_openai_image_block,
    is_data_content_block,
)

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.quoted import kind_of, quotable
from specreason_graph.models.conversation import as_text
from specreason_graph.models.image_block import is_encoded, is_image, shows, source
from specreason_graph.models.images import changed_blocks

_ANY = "image/*"  # what it is, a file's own bytes say


def traceable(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Messages in which LangChain reads each block: images in its own shape, and a tool's rows of another as text.

    Raises:
        ConfigError: it can't read one.
    """
    return [_readable(message, f"messages.{at}") for at, message in enumerate(messages)]


def _readable(message: BaseMessage, place: str) -> BaseMessage:
    def changed(block: Any) -> Any:
        if not isinstance(block, dict) or _is_read(block):
            return block
        is_shown = is_image(block) if isinstance(message, AIMessage) else shows(message, block)
        found = source(block) if is_shown else None
        if found is not None and found.kind == "base64":
            return {"type": "image", "base64": found.value, "mime_type": block.get("mime_type") or _ANY}
        if found is not None:
            return {"type": "image", found.kind: found.value}
        if isinstance(message, ToolMessage) and not is_encoded(block):
            return {"type": "text", "text": as_text(block)}
        at, what = list(message.content).index(block), quotable(block.get("type"), "an odd type")
        raise ConfigError(
            f"{place}.content.{at}: a block of {what} is not whole, it is {kind_of(block)}; send an image's bytes as "
            "base64 text, and all else as text"
        )

    return changed_blocks(message, changed)


def _is_read(block: dict[str, Any]) -> bool:
    """Whether LangChain makes of a block what it gives the model and tracers; it asks only some blocks for more."""
    try:
        hash((block.get("type"), block.get("source_type")))  # it looks them up
        if "source_type" in block or block.get("type") in ("file", "input_audio"):  # its older shape, and OpenAI's
            _ = HumanMessage([block]).content_blocks
        is_named = "file_id" in block or block.get("source_type") == "id"
        if block.get("type") == "image" and is_data_content_block(block) and not is_named:
            convert_to_openai_image_block(block)
    except (AttributeError, KeyError, TypeError, ValueError):
        return False
    return True
