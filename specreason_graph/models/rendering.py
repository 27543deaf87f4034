"""What a chat template makes of tools and of turns, found by trying it, and what it can't say put into words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from specreason_graph.contract.errors import ConfigError, EndpointFailed, EndpointRefused
from specreason_graph.endpoint.protocol import ChatMessage, Endpoint
from specreason_graph.models.presets import Preset

_SENTINEL = "SENTINEL"
_FUNCTION = {"name": "SENTINEL_TOOL", "description": "?", "parameters": {"type": "object"}}
_TOOL = {"type": "function", "function": _FUNCTION}
_CALL = {"id": "call_0", "type": "function", "function": {"name": "SENTINEL_CALL", "arguments": "{}"}}
_TRIED: Sequence[ChatMessage] = (
    {"role": "user", "content": "?"},
    {"role": "assistant", "content": "", "tool_calls": [_CALL]},
    {"role": "tool", "content": "SENTINEL_RESULT", "tool_call_id": "call_0", "name": "SENTINEL_CALL"},
)

_RAISED = (400, 422, 500)
"""How servers answer where a template raises; the last one is llama.cpp's."""


async def behind_assistant(endpoint: Endpoint, preset: Preset, following: Sequence[ChatMessage]) -> str:
    """The text that the template puts behind an assistant's turn, to its end, where some messages follow it.

    Raises:
        ConfigError: the template drops the assistant's turn.
    """
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _SENTINEL}, *following]
    rendered = await endpoint.decode(await endpoint.render(chat, preset.template))
    _, found, behind = rendered.partition(_SENTINEL)  # the first: what follows was typed by somebody
    if not found:
        raise ConfigError(f"{endpoint.name}: its chat template drops the assistant's turn, so no judge can read it")
    return behind


async def knows_tools(endpoint: Endpoint, preset: Preset) -> bool:
    """Whether the endpoint's template tells of tools, of calls and of their results: tried, since some know a part.

    One that refuses them does not know them; and calls would be spelled in two ways where it knows a part only.

    Raises:
        EndpointError: the server failed otherwise, which says nothing of its template.
    """
    try:
        rendered = await endpoint.decode(await endpoint.render(_TRIED, preset.template, [_TOOL]))
    except (EndpointRefused, EndpointFailed) as error:
        if error.status not in _RAISED:
            raise
        return False
    return all(text in rendered for text in ("SENTINEL_TOOL", "SENTINEL_CALL", "SENTINEL_RESULT"))


def tools_in_words(
    chat: Sequence[ChatMessage], tools: Sequence[Mapping[str, Any]], preset: Preset
) -> list[ChatMessage]:
    """The conversation with a system message that tells of the tools, behind what it says already."""
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    call = preset.tool_format.spelled([("<name>", {"<argument>": "<value>"})])
    words = preset.tool_words.replace("{call}", call).replace("{tools}", listed)
    if chat and chat[0]["role"] == "system":
        return [{**chat[0], "content": f"{chat[0]['content']}\n\n{words}"}, *chat[1:]]
    return [{"role": "system", "content": words}, *chat]


def turns_in_words(chat: Sequence[ChatMessage], preset: Preset) -> list[ChatMessage]:
    """The conversation with calls spelled in the assistant's text, and results told by the user, in one turn."""
    told: list[ChatMessage] = []
    for is_result, messages in groupby(chat, lambda message: message["role"] == "tool"):
        if is_result:
            results = [f"Result of {message.get('name') or 'the tool'}:\n{message['content']}" for message in messages]
            told.append({"role": "user", "content": "\n\n".join(results)})
        else:
            told += [_spelled(message, preset) for message in messages]
    return told


def _spelled(message: ChatMessage, preset: Preset) -> ChatMessage:
    if "tool_calls" not in message:
        return message
    functions = [call["function"] for call in message["tool_calls"]]
    calls = preset.tool_format.spelled([(it["name"], json.loads(it["arguments"])) for it in functions])
    text = "\n\n".join(filter(None, [message["content"], calls]))
    return {key: value for key, value in message.items() if key != "tool_calls"} | {"content": text}
