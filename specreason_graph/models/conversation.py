"""From LangChain messages to what a chat template takes, and a hash to know a question again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.quoted import quotable
from specreason_graph.endpoint.protocol import ChatMessage as Told
from specreason_graph.models.image_block import is_encoded, shows
from specreason_graph.models.images import named
from specreason_graph.models.presets import Preset

REASONING = "reasoning_content"
"""Where a reply has its reasoning, in `additional_kwargs`."""

_SEEN = frozenset({"image", "image_url", "input_image", "audio", "input_audio", "video", "file", "input_file", "media"})
"""Blocks that say nothing as text; each has to be looked at, or listened to."""


def chat_messages(
    messages: Sequence[AnyMessage], preset: Preset, *, boxed: bool = False, tools: bool = False
) -> list[Told]:
    """The conversation for the chat template, one entry a message, the preset's prompt around the last question.

    Reasoning stays before the models as long as the preset keeps it; blocks of other models' thinking, or of calls
    that `tool_calls` has as well, are dropped.

    Args:
        messages: what was said, by LangChain.
        preset: of the run.
        boxed: whether the answer is asked for in a box.
        tools: whether there are tools to call.

    Raises:
        ConfigError: there is no question, or something in it that only eyes or ears could read.
    """
    turn, since = last_question(messages), kept_since(messages, preset)
    chat = [_told(message, preset, now=at >= turn, reasons=at > since) for at, message in enumerate(messages)]
    if not chat[turn]["content"].strip():
        raise ConfigError("messages: the question is empty")
    asked = preset.wording(boxed, tools=tools).prompt.replace("{question}", chat[turn]["content"])
    chat[turn] = {**chat[turn], "content": asked}
    return _asking_on(chat, turn, preset) if tools else chat


def _asking_on(chat: list[Told], turn: int, preset: Preset) -> list[Told]:
    """With the preset's words behind each turn of results that the question has brought: small models stop too soon."""
    for at in range(turn + 1, len(chat)):
        ends = at + 1 == len(chat) or chat[at + 1]["role"] != "tool"
        if chat[at]["role"] == "tool" and ends:
            chat[at] = {**chat[at], "content": preset.result_prompt.replace("{result}", chat[at]["content"])}
    return chat


def last_question(messages: Sequence[BaseMessage]) -> int:
    """Where the user's last message is; tools' results and replies may stand behind it.

    Raises:
        ConfigError: there is none.
    """
    for at in range(len(messages) - 1, -1, -1):
        if isinstance(messages[at], HumanMessage) or _said_by(messages[at]) == "user":
            return at
    raise ConfigError("messages: there is no question (a human message)")


def kept_since(messages: Sequence[BaseMessage], preset: Preset) -> int:
    """Behind which message a reply's reasoning stays before the models.

    Raises:
        ConfigError: there is no question.
    """
    return {"never": len(messages), "turn": last_question(messages), "always": -1}[preset.keep_reasoning]


def question_hash(messages: Sequence[AnyMessage]) -> str:
    """Names the conversation up to the question; ids and metadata do not matter, nor whether images are put away."""
    return digest([(message.type, _named(message.content), *_calls_and_results(message)) for message in messages])


def digest(value: object) -> str:
    """A short hash of anything; what JSON can't write goes by its `repr`."""
    return hashlib.sha256(_JSON.encode(value).encode()).hexdigest()[:16]


_JSON = json.JSONEncoder(sort_keys=True, default=repr)


def _named(content: Any) -> Any:
    return content if isinstance(content, str) else [named(block) for block in content]


def _calls_and_results(message: BaseMessage) -> list[Any]:
    match message:
        case AIMessage() if message.tool_calls:
            return [[(call["name"], call["args"], call["id"]) for call in message.tool_calls]]
        case ToolMessage():
            return [message.tool_call_id]
    return []


def _told(message: BaseMessage, preset: Preset, *, now: bool, reasons: bool) -> Told:
    told: dict[str, Any] = {"role": _role(message), "content": _text(message, now=now)}
    if message.name:
        told["name"] = message.name
    if isinstance(message, ToolMessage):
        told["tool_call_id"] = message.tool_call_id
    if not isinstance(message, AIMessage):
        return told
    if message.tool_calls:
        told["tool_calls"] = [
            {
                "id": call["id"] or f"call_{at}",
                "type": "function",
                "function": {
                    "name": call["name"],
                    "arguments": json.dumps(call["args"], ensure_ascii=False, default=str),
                },
            }
            for at, call in enumerate(message.tool_calls)
        ]
    told["content"], inside = _parted(told["content"], preset)
    reasoning = message.additional_kwargs.get(REASONING) or inside
    if reasons and isinstance(reasoning, str) and reasoning:
        if preset.kind == "thinking":
            told["reasoning"] = reasoning
        else:  # it reasons in the open
            told["content"] = "\n\n".join(filter(None, [reasoning, told["content"]]))
    return told


def _parted(content: str, preset: Preset) -> tuple[str, str]:
    """What a reply says, and the reasoning that some clients leave before it, as models write it."""
    opens, closes = preset.open.strip(), preset.close.strip()
    begun = content.lstrip()
    if preset.kind != "thinking" or not opens or not begun.startswith(opens) or closes not in begun:
        return content, ""
    reasoning, _, said = begun.removeprefix(opens).partition(closes)
    return said.lstrip("\n"), reasoning.strip("\n")


def _said_by(message: BaseMessage) -> str | None:
    return {"developer": "system"}.get(message.role, message.role) if isinstance(message, ChatMessage) else None


def _role(message: BaseMessage) -> str:
    match message:
        case SystemMessage():
            return "system"
        case HumanMessage():
            return "user"
        case AIMessage():
            return "assistant"
        case ToolMessage() | FunctionMessage():
            return "tool"
        case ChatMessage() if _said_by(message) in ("system", "user", "assistant"):
            return str(_said_by(message))
    raise ConfigError(f"messages: a {message.type} message is no part of a conversation; leave it out")


def _text(message: BaseMessage, *, now: bool) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(_block(message, block, now=now) for block in message.content)


def _block(message: BaseMessage, block: str | dict[str, Any], *, now: bool) -> str:
    """A block's text; what a tool gives in a shape of its own is told as JSON."""
    if isinstance(block, str):
        return block
    kind = _kind(message, block)
    if kind == "text":
        if not isinstance(block.get("text"), str):
            raise ConfigError("messages: a block of type text has no text")
        return str(block["text"])
    is_said = isinstance(message, HumanMessage) or _said_by(message) == "user"
    if now and (is_said or (kind in _SEEN and not isinstance(message, AIMessage))):  # it would be passed over
        what = quotable(kind, "a block of another type")
        raise ConfigError(f"messages: text and images can be reasoned about here, not {what}; leave it out")
    if kind in _SEEN:
        return f"({kind.removeprefix('input_').removesuffix('_url')})"
    return as_text(block) if isinstance(message, ToolMessage) else ""


def as_text(block: dict[str, Any]) -> str:
    """What a tool gives in a shape of its own, as models are told it."""
    return json.dumps(block, ensure_ascii=False, default=str)


def _kind(message: BaseMessage, block: dict[str, Any]) -> str:
    """What a block says that it is; Bedrock's say it by their only name."""
    if isinstance(message, ToolMessage):
        return _kind_in_tool(message, block)
    if "type" not in block and len(block) == 1:
        return str(next(iter(block)))
    return str(block.get("type", ""))


def _kind_in_tool(message: ToolMessage, block: dict[str, Any]) -> str:
    """A tool's block may be a row of its own, whose `type` means anything."""
    if shows(message, block):
        return "image"
    kind = str(block.get("type", ""))
    is_block = isinstance(block.get("text"), str) if kind == "text" else is_encoded(block)
    return kind if is_block else "row"
