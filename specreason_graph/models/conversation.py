"""From LangChain messages to what a chat template takes, and a hash to know a question again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage

from specreason_graph.contract.errors import ConfigError
from specreason_graph.endpoint.protocol import ChatMessage
from specreason_graph.models.presets import Preset


def chat_messages(messages: Sequence[AnyMessage], preset: Preset) -> list[ChatMessage]:
    """The conversation for the chat template, the preset's prompt around the last question.

    Raises:
        ConfigError: there is no question, or something that raw completions can't carry.
    """
    chat = [{"role": _role(message), "content": _text(message)} for message in messages]
    if not chat or chat[-1]["role"] != "user":
        raise ConfigError("messages: the last one must be the question (a human message)")
    if not chat[-1]["content"].strip():
        raise ConfigError("messages: the question is empty")
    chat[-1]["content"] = preset.prompt.replace("{question}", chat[-1]["content"])
    return list(chat)


def question_hash(messages: Sequence[AnyMessage]) -> str:
    """Names the conversation up to the question; ids and metadata do not matter."""
    return digest([(message.type, message.content) for message in messages])


def digest(value: object) -> str:
    """A short hash of anything; what JSON can't write goes by its `repr`."""
    return hashlib.sha256(_JSON.encode(value).encode()).hexdigest()[:16]


_JSON = json.JSONEncoder(sort_keys=True, default=repr)


def _role(message: AnyMessage) -> str:
    match message:
        case SystemMessage():
            return "system"
        case HumanMessage():
            return "user"
        case AIMessage() if not message.tool_calls:
            return "assistant"
    raise ConfigError(
        f"messages: a {message.type} message with or about tool calls can't be carried by raw completions; "
        "use SpecReason as a tool or planner of an agent whose own model calls tools"
    )


def _text(message: AnyMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    parts = [{"type": "text", "text": part} if isinstance(part, str) else part for part in message.content]
    kinds = {part.get("type", "?") for part in parts} - {"text", "reasoning"}
    if kinds:
        raise ConfigError(f"messages: only text can be reasoned about here, not {', '.join(sorted(kinds))}")
    texts = [part.get("text") for part in parts if part["type"] == "text"]
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError("messages: a block of type text has no text")
    return "".join(map(str, texts))
