"""Chat templates of the scripted servers, and reading a prompt's ids back into turns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from specreason_graph.testing.tokenizer import BOS, CLOSE, END_OF_TURN, THINK, TURN, ByteTokenizer

TemplateName = Literal["instruct", "think", "qwen3"]
"""`instruct` is plain ChatML; `think` opens `<think>`, as QwQ's and R1's do; `qwen3` leaves that to the model.

The latter two drop the think blocks of earlier assistant turns.
"""


def render(
    template: TemplateName,
    messages: Sequence[Mapping[str, str]],
    *,
    add_generation_prompt: bool = True,
    bos: bool = False,
    variables: Mapping[str, Any] | None = None,
) -> str:
    """A conversation as one text; of `variables`, `enable_thinking: false` is known to `qwen3`."""
    text = BOS if bos else ""
    for message in messages:
        content = message["content"]
        if message["role"] == "assistant" and template != "instruct":
            content = content.rpartition(CLOSE)[2].lstrip("\n")
        text += f"{TURN}{message['role']}\n{content}{END_OF_TURN}\n"
    if not add_generation_prompt:
        return text
    text += f"{TURN}assistant\n"
    if template == "think":
        text += f"{THINK}\n"
    elif template == "qwen3" and (variables or {}).get("enable_thinking") is False:
        text += f"{THINK}\n\n{CLOSE}\n\n"
    return text


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
