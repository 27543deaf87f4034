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


@dataclass(frozen=True, slots=True)
class Envelope:
    """What all documents of one reply have in common."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, replies: Sequence[AIMessage]) -> dict[str, Any]:
        """The whole reply."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", **_texts(reply), "content": reply.content},
                "logprobs": None,
                **_ending(reply),
            }
            for index, reply in enumerate(replies)
        ]
        return self._document("chat.completion", choices, usage=usage(replies))

    def chunk(self, index: int, piece: AIMessageChunk, *, first: bool) -> dict[str, Any]:
        """A piece of one choice."""
        delta = {**({"role": "assistant"} if first else {}), **_texts(piece)}
        choice = {"index": index, "delta": delta, "logprobs": None, **_ending(piece)}
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


def _texts(message: AIMessage) -> dict[str, Any]:
    """Reasoning under both names that clients look for."""
    reasoning = message.additional_kwargs.get("reasoning_content")
    return {
        **({"reasoning_content": reasoning, "reasoning": reasoning} if reasoning else {}),
        **({"content": message.content} if message.content else {}),
    }


def _ending(message: AIMessage) -> dict[str, Any]:
    about = message.response_metadata
    if "finish_reason" not in about:
        return {"finish_reason": None}
    return {"finish_reason": about["finish_reason"], "specreason": about["specreason"]}
