"""Chat templates of the scripted servers, and reading a prompt's ids back into turns."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from specreason_graph.testing.tokenizer import BOS, CLOSE, END_OF_TURN, THINK, TURN, ByteTokenizer

TemplateName = Literal["instruct", "think", "qwen3"]
"""`instruct` is plain ChatML; `think` opens `<think>`, as QwQ's and R1's do; `qwen3` leaves that to the model.

The latter two drop the reasoning of assistant turns before the last question, and keep that of later ones.
"""

_RESULT = "<tool_response>"
_TOOLS = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>{}\n</tools>\n\n"
    "For each function call, return a json object with function name and arguments within <tool_call></tool_call> "
    'XML tags:\n<tool_call>\n{{"name": <function-name>, "arguments": <args-json-object>}}\n</tool_call>'
)


def render(
    template: TemplateName,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
    bos: bool = False,
    variables: Mapping[str, Any] | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
    knows_tools: bool = True,
) -> str:
    """A conversation as one text; of `variables`, `enable_thinking: false` is known to `qwen3`.

    Tools are told, and calls and results spelled, as Qwen's templates do, unless the template `knows_tools` not.
    """
    told = _TOOLS.format("".join(f"\n{_json(tool)}" for tool in tools)) if tools and knows_tools else ""
    spelled = _with_tools(messages) if knows_tools else messages
    question = max((at for at, message in enumerate(spelled) if _asks(message)), default=-1)
    text = BOS if bos else ""
    if told and (not messages or messages[0]["role"] != "system"):
        text += f"{TURN}system\n{told}{END_OF_TURN}\n"
    for at, message in enumerate(spelled):
        content = message.get("content") or ""
        if message["role"] == "assistant" and template != "instruct":
            content = _reasoned(message, content, kept=at > question)
        elif message["role"] == "system" and told and at == 0:
            content = f"{content}\n\n{told}"
        text += f"{TURN}{message['role']}\n{content}{END_OF_TURN}\n"
    if not add_generation_prompt:
        return text
    text += f"{TURN}assistant\n"
    if template == "think":
        text += f"{THINK}\n"
    elif template == "qwen3" and (variables or {}).get("enable_thinking") is False:
        text += f"{THINK}\n\n{CLOSE}\n\n"
    return text


def _with_tools(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Messages whose calls are in their content, and results in users' turns, one for all in a row."""
    found: list[Mapping[str, Any]] = []
    for at, message in enumerate(messages):
        content = message.get("content") or ""
        if message["role"] == "tool":
            content = f"{_RESULT}\n{content}\n</tool_response>"
            if at and messages[at - 1]["role"] == "tool":
                content = f"{found.pop()['content']}\n{content}"
            found.append({"role": "user", "content": content})
        else:
            calls = map(_call, message.get("tool_calls") or ())
            found.append({**message, "content": "\n".join(filter(None, [content, *calls]))})
    return found


def _asks(message: Mapping[str, Any]) -> bool:
    return message["role"] == "user" and not (message.get("content") or "").startswith(_RESULT)


def _reasoned(message: Mapping[str, Any], content: str, *, kept: bool) -> str:
    """An assistant's turn with or without its reasoning, which is a field of its own or in the content."""
    inside, _, answer = content.rpartition(CLOSE)
    answer = answer.lstrip("\n") if inside else answer
    reasoning = (message.get("reasoning") or inside.removeprefix(THINK)).strip("\n")
    return f"{THINK}\n{reasoning}\n{CLOSE}\n\n{answer}" if reasoning and kept else answer


def _call(call: Mapping[str, Any]) -> str:
    """A call; arguments that are no JSON object are none, as vLLM has it."""
    function = call["function"]
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    held = _json(arguments if isinstance(arguments, dict) else {})
    return f'<tool_call>\n{{"name": "{function["name"]}", "arguments": {held}}}\n</tool_call>'


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a prompt; the last one may still be open."""

    role: str
    content: bytes


def turns(tokenizer: ByteTokenizer, prompt: Sequence[int]) -> list[Turn]:
    """The turns that a prompt's ids spell; a prompt without any is an assistant turn from its beginning."""
    opening = tokenizer.id(TURN)
    starts = list(_places(prompt, opening))
    if not starts:
        return [Turn("assistant", tokenizer.spell(prompt))]
    found = []
    for start, end in zip(starts, [*starts[1:], len(prompt)], strict=True):
        role, _, content = tokenizer.spell(prompt[start + 1 : end]).partition(b"\n")
        found.append(Turn(role.decode(errors="replace"), content.removesuffix(f"{END_OF_TURN}\n".encode())))
    return found


def _places(ids: Sequence[int], token: int) -> Iterator[int]:
    with suppress(ValueError):
        place = ids.index(token)  # prompts are long, and this is not done in Python
        while True:
            yield place
            place = ids.index(token, place + 1)
