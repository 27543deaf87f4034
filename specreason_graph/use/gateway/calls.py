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
class StreamedCalls:
    """One choice's calls as they come.

    The end of a call's arguments is held until it is known that the call is whole. So those of one that was cut are
    no JSON to anybody, although most of them was told.
    """

    _held: list[dict[str, Any]] = field(default_factory=list)
    _open: int | None = None

    def deltas(self, piece: AIMessageChunk) -> list[dict[str, Any]]:
        """What a piece of the reply adds."""
        told: list[dict[str, Any]] = []
        for chunk in piece.tool_call_chunks:
            if chunk["index"] != self._open:
                told += self._let_go()
                self._open = chunk["index"]
                begun = {"name": chunk["name"], "arguments": ""}
                self._held = [{"index": self._open, "id": chunk["id"], "type": "function", "function": begun}]
            if chunk["args"]:
                told += self._after(chunk["args"])
        return told + (self._let_go() if _is_whole(piece.response_metadata) else [])

    def _after(self, arguments: str) -> list[dict[str, Any]]:
        """What can be told once more arguments have come; a call's name goes with the first of them."""
        piece = {"index": self._open, "function": {"arguments": arguments}}
        ready = self._let_go() if arguments.strip() and not (self._held and "id" in self._held[-1]) else []
        self._held.append(piece)
        return ready

    def _let_go(self) -> list[dict[str, Any]]:
        ready, self._held = self._held, []
        return ready


def _is_whole(about: Mapping[str, Any]) -> bool:
    return about.get("finish_reason") == "tool_calls"


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)
