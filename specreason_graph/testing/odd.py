"""What odd servers do: they answer in full, but pass over a field of the request, or change the answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

OddKind = Literal[
    "no_logprobs",
    "no_token_ids",
    "no_token_strs",
    "no_usage",
    "null_choices",
    "null_logprobs",
    "nan_logprobs",
    "ignores_stop",
    "ignores_stop_ids",
    "ignores_structured_outputs",
]

_Document = dict[str, Any]


def _without(field: str, answer: _Document) -> _Document:
    return {name: value for name, value in answer.items() if name != field}


def _null(field: str, answer: _Document) -> _Document:
    return answer | {field: None} if field in answer else answer


def _all_logprobs(value: float | None, answer: _Document) -> _Document:
    """In each of vLLM's shapes: of completions, of tokens that go without text, and of a prompt's tokens."""
    told = dict(answer)
    if "choices" in answer:
        told["choices"] = [_with_logprobs(value, choice) for choice in answer["choices"]]
    if "prompt_logprobs" in answer:
        told["prompt_logprobs"] = [
            row and {token: one | {"logprob": value} for token, one in row.items()} for row in answer["prompt_logprobs"]
        ]
    return told


def _with_logprobs(value: float | None, choice: _Document) -> _Document:
    logprobs = choice.get("logprobs")
    if logprobs is None:
        return choice
    if "content" in logprobs:
        return choice | {"logprobs": logprobs | {"content": [_with_logprob(value, row) for row in logprobs["content"]]}}
    values = [value] * len(logprobs["tokens"])
    tops = [dict.fromkeys(top, value) for top in logprobs["top_logprobs"]]
    return choice | {"logprobs": logprobs | {"token_logprobs": values, "top_logprobs": tops}}


def _with_logprob(value: float | None, row: _Document) -> _Document:
    top = [one | {"logprob": value} for one in row.get("top_logprobs", ())]
    return row | {"logprob": value} | ({"top_logprobs": top} if top else {})


IGNORED_FIELDS: Mapping[str, str] = {
    "no_logprobs": "logprobs",
    "no_token_ids": "return_tokens_as_token_ids",
    "no_usage": "stream_options",
    "ignores_stop": "stop",
    "ignores_stop_ids": "stop_token_ids",
    "ignores_structured_outputs": "structured_outputs",
}
"""The request's field that each kind passes over."""

CHANGES: Mapping[str, Callable[[_Document], _Document]] = {
    "no_token_strs": partial(_without, "token_strs"),
    "no_usage": partial(_null, "usage"),
    "null_choices": partial(_null, "choices"),
    "null_logprobs": partial(_all_logprobs, None),
    "nan_logprobs": partial(_all_logprobs, math.nan),
}
"""What each kind makes of an answer, or of one event's data."""
