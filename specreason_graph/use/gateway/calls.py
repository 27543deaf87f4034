"""Calls of tools in OpenAI's shapes: whole in a message, and in a stream as deltas. None that was cut is ever whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk


def whole(message: AIMessage) -> list[dict[str, Any]]:
    """A reply's calls, of those that can be executed."""
    return [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": _json(call["args"])}}
        for call in message.tool_calls
    ]


def invalid(message: AIMessage) -> list[dict[str, Any]]:
    """What was cut or is wrong, with the reason; it is told beside the calls, where nobody executes it."""
    return [
        {"id": call["id"], "name": call["name"], "arguments": call["args"], "error": call["error"]}
        for call in message.invalid_tool_calls
    ]


@dataclass(slots=True)
class _Call:
    index: int
    id: str | None
    name: str | None
    pieces: list[str] = field(default_factory=list)
    told: int = 0
    """Pieces of its arguments that the client has."""

    @property
    def is_whole(self) -> bool:
        """Whether its arguments are a JSON object; those of an invalid call end in something that is none."""
        text = "".join(self.pieces)
        return text.rstrip().endswith("}") and is_object(text)

    def rest(self) -> list[dict[str, Any]]:
        """Deltas of all that is not told; the first of them names the call."""
        more = [{"index": self.index, "function": {"arguments": text}} for text in self.pieces[self.told :]]
        begun = {
            "index": self.index,
            "id": self.id,
            "type": "function",
            "function": {"name": self.name, "arguments": ""},
        }
        names, self.told = bool(more) and not self.told, len(self.pieces)
        return [begun, *more] if names else more

    @property
    def as_invalid(self) -> dict[str, Any]:
        """What was cut or is wrong; the reason is the end of the last piece, in brackets."""
        *arguments, end = self.pieces or [""]
        error = end.partition(" (")[2].removesuffix(")")
        return {"id": self.id, "name": self.name, "arguments": "".join(arguments), "error": error}


@dataclass(slots=True)
class StreamedCalls:
    """One choice's calls as they come.

    The last piece of a call, and all that makes its arguments whole, is held until the reply has ended and it is known
    that the call is valid: those of any other are no JSON to anybody. Calls behind the first are held altogether, so
    that they come in their order.
    """

    _calls: dict[int, _Call] = field(default_factory=dict)

    def deltas(self, piece: AIMessageChunk) -> list[dict[str, Any]]:
        """What a piece of the reply adds."""
        told: list[dict[str, Any]] = []
        for chunk in piece.tool_call_chunks:
            index = chunk["index"] or 0
            call = self._calls.setdefault(index, _Call(index, chunk["id"], chunk["name"]))
            if chunk["args"]:
                told += call.rest() if len(self._calls) == 1 and not call.is_whole else []
                call.pieces.append(chunk["args"])
        if piece.chunk_position == "last":
            told += [delta for call in self._calls.values() if call.is_whole for delta in call.rest()]
        return told

    @property
    def invalid(self) -> list[dict[str, Any]]:
        """As of a whole message, once it has ended."""
        return [call.as_invalid for call in self._calls.values() if not call.is_whole]


def is_object(text: str) -> bool:
    """Whether a text is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
