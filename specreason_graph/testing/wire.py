"""The documents that vLLM's completions endpoint answers with."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from specreason_graph.testing.generation import Token
from specreason_graph.testing.request import CompletionRequest
from specreason_graph.testing.tokenizer import ByteTokenizer


def choice(tokenizer: ByteTokenizer, request: CompletionRequest, index: int, tokens: Sequence[Token]) -> dict[str, Any]:
    """Some tokens of one prompt's answer: those of one event, or all; `text_offset` counts from the first of them."""
    last = tokens[-1]
    return {
        "index": index,
        "text": "".join(token.text for token in tokens),
        "logprobs": None if request.logprobs is None else _logprobs(tokenizer, request, request.logprobs, tokens),
        "finish_reason": last.finish,
        "stop_reason": last.stop,
        "prompt_token_ids": None,
        "token_ids": None,
    }


def document(
    model: str, number: int, choices: Sequence[Mapping[str, Any]], usage: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A completion, or one chunk of it."""
    named: dict[str, Any] = {"id": f"cmpl-{number}", "object": "text_completion", "created": int(time.time())}
    return named | {"model": model, "choices": choices} | ({} if usage is None else {"usage": usage})


def usage(prompt_tokens: int, completion_tokens: int, cached_tokens: int | None) -> dict[str, Any]:
    """Token counts; without `--enable-prompt-tokens-details` a server says nothing of cached ones."""
    counts: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
    }
    return counts if cached_tokens is None else counts | {"prompt_tokens_details": {"cached_tokens": cached_tokens}}


def event(data: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _logprobs(
    tokenizer: ByteTokenizer, request: CompletionRequest, top: int, tokens: Sequence[Token]
) -> dict[str, Any]:
    def name(token: int) -> str:
        if request.return_tokens_as_token_ids:
            return f"token_id:{token}"
        return tokenizer.spelling[token].decode(errors="replace")

    names = [name(token.id) for token in tokens]
    return {
        "text_offset": [0, *accumulate(map(len, names[:-1]))],
        "token_logprobs": [token.odds.logprob(token.id) for token in tokens],
        "tokens": names,
        # The sampled token comes first, and once more in its place where the list reaches that far.
        "top_logprobs": [
            {name(i): token.odds.logprob(i) for i in (token.id, *token.odds.top(top))} for token in tokens
        ],
    }
