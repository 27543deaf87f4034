"""The documents that vLLM answers with, on `/v1/completions` and on `/inference/v1/generate`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from specreason_graph.testing.generation import Token
from specreason_graph.testing.request import CompletionRequest
from specreason_graph.testing.tokenizer import ByteTokenizer


class Wire(NamedTuple):
    """How one path words an answer."""

    choice: Callable[[ByteTokenizer, CompletionRequest, int, Sequence[Token]], dict[str, Any]]
    """Some tokens of one prompt's answer: those of one event, or all."""
    document: Callable[[str, int, list[dict[str, Any]], Mapping[str, Any] | None], dict[str, Any]]
    """A whole answer, or one chunk of it: the model's name, the request's number, choices and usage."""


def _completion_choice(
    tokenizer: ByteTokenizer, request: CompletionRequest, index: int, tokens: Sequence[Token]
) -> dict[str, Any]:
    """`text_offset` counts from the first of these tokens."""
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


def _completion(
    model: str, number: int, choices: Sequence[Mapping[str, Any]], usage: Mapping[str, Any] | None
) -> dict[str, Any]:
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


COMPLETION = Wire(_completion_choice, _completion)
"""`/v1/completions`."""


def generated(output_mode: str) -> Wire:
    """`/inference/v1/generate`, whose log-probabilities go by id where no text is asked for."""

    def choice(
        tokenizer: ByteTokenizer, request: CompletionRequest, index: int, tokens: Sequence[Token]
    ) -> dict[str, Any]:
        last, top = tokens[-1], request.logprobs
        content = [_by_text(tokenizer, it) if output_mode == "text" else _by_id(it, top or 0) for it in tokens]
        return {
            "index": index,
            **({"text": "".join(token.text for token in tokens)} if output_mode == "text" else {}),
            "token_ids": [token.id for token in tokens],
            "logprobs": None if top is None else {"content": content},
            "finish_reason": last.finish,
            "stop_reason": last.stop,
        }

    def document(
        model: str, number: int, choices: Sequence[Mapping[str, Any]], usage: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        named: dict[str, Any] = {"request_id": f"generate-tokens-{number}", "output_mode": output_mode}
        return named | {"choices": choices} | ({} if usage is None else {"usage": usage})

    return Wire(choice, document)


def _by_text(tokenizer: ByteTokenizer, token: Token) -> dict[str, Any]:
    spelled = tokenizer.spelling[token.id].decode(errors="replace")
    return {"token": spelled, "logprob": token.odds.logprob(token.id), "bytes": list(spelled.encode())}


def _by_id(token: Token, top: int) -> dict[str, Any]:
    """The sampled token comes first among the likeliest, too."""
    likeliest = list(dict.fromkeys([token.id, *token.odds.top(top)]))[: max(top, 1)]
    listed = [{"token_id": one, "logprob": token.odds.logprob(one)} for one in likeliest]
    return {"token_id": token.id, "logprob": token.odds.logprob(token.id), "top_logprobs": listed}
