"""Messages as LangChain can show them to tracers: it spells images anew, and stumbles where a block lacks something."""

from __future__ import annotations

from typing import Any

from langchain_core.messages import is_data_content_block
from langchain_core.prompt_values import ChatPromptValue, PromptValue

from specreason_graph.models.images import changed_blocks

_ANY = "image/*"  # what it is, a file's own bytes say


def traceable(prompt: PromptValue) -> PromptValue:
    """A prompt whose images say some type; the run sees to all else that is wrong with one."""
    messages = prompt.to_messages()
    new = [changed_blocks(message, _spellable) for message in messages]
    same = all(one is other for one, other in zip(messages, new, strict=True))
    return prompt if same else ChatPromptValue(messages=new)


def _spellable(block: Any) -> Any:
    if not (isinstance(block, dict) and block.get("type") == "image" and is_data_content_block(block)):
        return block
    if not block.keys().isdisjoint(("url", "file_id")) or (block.get("mime_type") and "text" not in block):
        return block
    known = {name: value for name, value in block.items() if name != "text"}
    return {**known, "mime_type": block.get("mime_type") or _ANY}
