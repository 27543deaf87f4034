"""A run's reply in the shapes of OpenAI's chat completions, with the run's figures under `specreason`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata, add_usage

from specreason_graph.models.conversation import REASONING
from specreason_graph.use.gateway.calls import StreamedCalls, invalid, whole

_OURS_ALONE = "tokens"
"""Ids of all that was written, for a next run of the same process; large, and of no use to a client."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all documents of one reply have in common."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    _calls: dict[int, StreamedCalls] = field(default_factory=dict)
    """Of each choice that a stream has begun."""

    def completion(self, replies: Sequence[AIMessage]) -> dict[str, Any]:
        """The whole reply."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", **_reasoning(reply), **_acted(reply)},
                "logprobs": None,
                **_ending(reply, invalid(reply)),
            }
            for index, reply in enumerate(replies)
        ]
        return self._document("chat.completion", choices, usage=usage(replies))

    def chunk(self, index: int, piece: AIMessageChunk) -> dict[str, Any]:
        """The next piece of one choice."""
        first = index not in self._calls
        calls = self._calls.setdefault(index, StreamedCalls())
        told = calls.deltas(piece)
        delta = {
            **({"role": "assistant"} if first else {}),
            **_reasoning(piece),
            **({"content": piece.content} if piece.content else {}),
            **({"tool_calls": told} if told else {}),
        }
        choice = {"index": index, "delta": delta, "logprobs": None, **_ending(piece, calls.invalid)}
        return self._document("chat.completion.chunk", [choice])

    def usage_chunk(self, endings: Sequence[AIMessage]) -> dict[str, Any]:
        """The last one, for those who ask for it."""
        return self._document("chat.completion.chunk", [], usage=usage(endings))

    def _document(self, kind: str, choices: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
            **values,
        }


def usage(endings: Sequence[AIMessage]) -> dict[str, Any]:
    """What the models of all choices have read and written; cached tokens where the servers tell of them."""
    nothing = UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
    total = reduce(add_usage, (it.usage_metadata for it in endings if it.usage_metadata), nothing)
    cached = total.get("input_token_details", {}).get("cache_read")
    return {
        "prompt_tokens": total["input_tokens"],
        "completion_tokens": total["output_tokens"],
        "total_tokens": total["total_tokens"],
        "completion_tokens_details": {"reasoning_tokens": total.get("output_token_details", {}).get("reasoning", 0)},
        **({} if cached is None else {"prompt_tokens_details": {"cached_tokens": cached}}),
    }


def _reasoning(message: AIMessage) -> dict[str, Any]:
    """Under both names that clients look for."""
    reasoning = message.additional_kwargs.get(REASONING)
    return {"reasoning_content": reasoning, "reasoning": reasoning} if reasoning else {}


def _acted(message: AIMessage) -> dict[str, Any]:
    """What was said, and the calls."""
    calls = whole(message)
    return {"content": message.content or None, "tool_calls": calls} if calls else {"content": message.content}


def _ending(message: AIMessage, unmade: Sequence[dict[str, Any]]) -> dict[str, Any]:
    about = message.response_metadata
    if "finish_reason" not in about:
        return {"finish_reason": None}
    figures = {name: value for name, value in about["specreason"].items() if name != _OURS_ALONE}
    told = {"invalid_tool_calls": unmade} if unmade else {}
    return {"finish_reason": about["finish_reason"], "specreason": {**figures, **told}}
