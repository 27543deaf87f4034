"""vLLM's `/v1/completions`: its requests, and its answers, of which every field that a score hangs on is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from specreason_graph.contract.errors import NoLogprobs, TruncatedResponse
from specreason_graph.endpoint.fields import number, optional, required, shown
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.protocol import Ending, Form, Marker, Reading, Sampling, Token, Usage

PATH = "/v1/completions"


def generation(
    model: str,
    prompt: Sequence[int],
    max_tokens: int,
    sampling: Sampling,
    stops: list[str],
    close: Marker | None,
    form: Form,
) -> dict[str, Any]:
    """A streamed request; `logprobs: 0` gives each token's id and log-probability, and no more."""
    body = {
        "model": model,
        "prompt": prompt,
        "max_tokens": max_tokens,
        "temperature": sampling.temperature,  # always sent: the model's generation config would decide
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stop": stops,
        "stop_token_ids": [close.id] if close else [],
        "include_stop_str_in_output": True,  # without it, text is held back and no longer that of its event's ids
        "logprobs": 0,
        "return_tokens_as_token_ids": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if form.schema is not None:
        body["structured_outputs"] = {"json": form.schema}
    elif form.choices:
        body["structured_outputs"] = {"choice": list(form.choices)}
    return body


def one_token(model: str, prompts: Sequence[Any], *, logprobs: int) -> dict[str, Any]:
    """A request of the likeliest token behind one prompt, or several."""
    return {
        "model": model,
        "prompt": prompts,
        "max_tokens": 1,
        "temperature": 0,
        "top_p": 1,
        "logprobs": logprobs,
        "return_tokens_as_token_ids": True,
    }


@dataclass(frozen=True, slots=True)
class Said:
    """What one event adds to a generation."""

    ids: list[int]
    logprobs: list[float]
    text: str
    """Of all its tokens together; a last one ends where the server stopped."""
    finish: str | None
    stop: object
    """The stop string or id that ended it; None for the end of turn, too."""

    def why(self, name: str, close: Marker | None) -> Ending:
        """Why the generation ended, if it did.

        Raises:
            TruncatedResponse: the server gave it up.
        """
        if self.finish == "length":
            return "length"
        if self.finish != "stop":
            raise TruncatedResponse(f"{name}: the server gave up a generation (`finish_reason` {shown(self.finish)})")
        if isinstance(self.stop, str):
            return "boundary"
        return "close" if close is not None and self.stop == close.id else "end_of_turn"


def said(http: Http, event: dict[str, Any]) -> Iterator[Said]:
    """The choices of an event, or of a whole answer; the event that tells usage has none.

    Raises:
        NoLogprobs: log-probabilities are missing, or are no numbers.
        MalformedResponse: another field is not what it should be.
    """
    for choice in _choices(http, event):
        text = "" if choice.get("text", "") is None else required(http, PATH, choice, "text", str)
        finish, stop = optional(http, PATH, choice, "finish_reason", str), choice.get("stop_reason")
        logprobs = optional(http, PATH, choice, "logprobs", dict)
        if logprobs is None:
            if text:
                raise NoLogprobs(f"{http.name} gives no `logprobs`: is it vLLM, or does a proxy drop them?")
            yield Said([], [], "", finish, stop)
            continue
        ids = [_id(http, token) for token in required(http, PATH, logprobs, "tokens", list)]
        values = required(http, PATH, logprobs, "token_logprobs", list)
        if len(values) != len(ids):
            raise http.malformed(f"`logprobs` has {len(ids)} `tokens` and {len(values)} `token_logprobs`")
        yield Said(ids, [number(http, value, "token_logprobs") for value in values], text, finish, stop)


def readings(http: Http, answer: dict[str, Any], prompts: int) -> list[Reading]:
    """The next token's distribution behind each prompt, in the prompts' order.

    Raises:
        NoLogprobs: log-probabilities are missing, or are no numbers.
        MalformedResponse: another field is not what it should be.
    """
    choices = {required(http, PATH, choice, "index", int): choice for choice in _choices(http, answer)}
    if sorted(choices) != list(range(prompts)):
        raise http.malformed(f"`choices` answers {len(choices)} of {prompts} prompts")
    return [_reading(http, choices[index]) for index in range(prompts)]


def usage(http: Http, answer: dict[str, Any], prompt_tokens: int, completion_tokens: int) -> Usage:
    """Tokens of the request; what the server does not count is what is known of it, and of cached ones nothing."""
    counts = optional(http, PATH, answer, "usage", dict)
    details = optional(http, PATH, counts or {}, "prompt_tokens_details", dict)
    read = optional(http, PATH, counts or {}, "prompt_tokens", int)
    written = optional(http, PATH, counts or {}, "completion_tokens", int)
    return Usage(
        prompt_tokens if read is None else read,
        optional(http, PATH, details or {}, "cached_tokens", int),
        completion_tokens if written is None else written,
    )


class Stopped:
    """Whether the last token completed a stop string: a proxy may drop what the server says of it."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._reach = max(map(len, stops), default=1) - 1
        self._before = ""
        self.by_last = False

    def read(self, tokens: Sequence[Token]) -> None:
        """Some more tokens."""
        for token in tokens if self._stops else ():
            text = self._before + token.text
            self.by_last = bool(token.text) and any(stop in text for stop in self._stops)
            self._before = text[len(text) - self._reach :] if self._reach else ""


def ended(
    why: Ending, stop: object, tokens: list[Token], close: Marker | None, stopped: Stopped
) -> tuple[Ending, Token | None]:
    """Why a generation ended, and the token that ended the turn or the reasoning, which is taken off its tokens."""
    if not tokens or why in ("boundary", "length"):
        return why, None
    if close is not None and tokens[-1].id == close.id:
        return "close", tokens.pop()
    if why == "end_of_turn" and stop is None and stopped.by_last:
        return "boundary", None
    return why, tokens.pop()


def _choices(http: Http, answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for choice in required(http, PATH, answer, "choices", list):
        if not isinstance(choice, dict):
            raise http.malformed(f"{PATH}: `choices` holds {shown(choice)}, which is no object")
        yield choice


def _reading(http: Http, choice: dict[str, Any]) -> Reading:
    logprobs = optional(http, PATH, choice, "logprobs", dict) or {}
    rows = optional(http, PATH, logprobs, "top_logprobs", list)
    if not rows or not rows[0]:
        raise NoLogprobs(f"{http.name} gives no `top_logprobs` (start vLLM with --max-logprobs 20 or more)")
    if not isinstance(rows[0], dict):
        raise http.malformed(f"{PATH}: `top_logprobs` holds {shown(rows[0])}, which is no object")
    top = {_id(http, token): number(http, value, "top_logprobs") for token, value in rows[0].items()}
    tokens = required(http, PATH, logprobs, "tokens", list)
    if not tokens:
        raise http.malformed(f"{PATH}: `tokens` is empty")
    return Reading(_id(http, tokens[0]), top)


def _id(http: Http, token: object) -> int:
    prefix, _, digits = str(token).partition(":")
    if prefix != "token_id" or not (digits.isascii() and digits.isdigit()):
        raise http.malformed(f"ignores `return_tokens_as_token_ids` (token {shown(token)})")
    return int(digits)
