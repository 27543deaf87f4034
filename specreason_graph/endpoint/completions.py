"""What vLLM's `/v1/completions` answers, read with care: every field that a score hangs on is looked at.

A proxy, another version or another engine may leave a field out, fill it with null, or ignore what was asked for.
Each is told by a typed error that names the server and the field; none of it may turn into a score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from specreason_graph.contract.errors import NoLogprobs, TruncatedResponse
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.protocol import Ending, Marker, Reading, Usage

PATH = "/v1/completions"


@dataclass(frozen=True, slots=True)
class Said:
    """What one event adds to a generation."""

    ids: list[int]
    logprobs: list[float]
    text: str
    """Of all its tokens together; a last one ends where the server stopped."""
    finish: str | None
    stop: str | int | None
    """The stop string or id that ended it; None for the end of turn, too."""

    def why(self, name: str, close: Marker | None) -> Ending:
        """Why the generation ended, if it did.

        Raises:
            TruncatedResponse: the server gave it up.
        """
        if self.finish == "length":
            return "length"
        if self.finish != "stop":
            raise TruncatedResponse(f"{name}: the server gave up a generation ({self.finish})")
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
        with http.shape(PATH):
            text, logprobs = choice["text"] or "", choice.get("logprobs")
            finish, stop = choice.get("finish_reason"), choice.get("stop_reason")
        if logprobs is None:
            if text:
                raise NoLogprobs(f"{http.name} gives no log-probabilities: is it vLLM, or does a proxy drop them?")
            yield Said([], [], "", finish, stop)
            continue
        with http.shape(PATH):
            ids = [_id(http, token) for token in logprobs["tokens"]]
            values = [number(http, value, "token_logprobs") for value in logprobs["token_logprobs"]]
        if len(values) != len(ids):
            raise http.malformed(f"logprobs has {len(ids)} tokens and {len(values)} token_logprobs")
        yield Said(ids, values, text, finish, stop)


def readings(http: Http, answer: dict[str, Any], prompts: int) -> list[Reading]:
    """The next token's distribution behind each prompt, in the prompts' order.

    Raises:
        NoLogprobs: log-probabilities are missing, or are no numbers.
        MalformedResponse: another field is not what it should be.
    """
    with http.shape(PATH):
        choices = sorted(_choices(http, answer), key=lambda choice: int(choice["index"]))
    if len(choices) != prompts:
        raise http.malformed(f"{len(choices)} answers to {prompts} prompts")
    return [_reading(http, choice) for choice in choices]


def usage(http: Http, answer: dict[str, Any]) -> Usage:
    """Tokens of the request; cached ones are unknown where the server does not count them."""
    with http.shape(PATH):
        counts = answer["usage"]
        details = counts.get("prompt_tokens_details") or {}
        return Usage(int(counts["prompt_tokens"]), details.get("cached_tokens"), int(counts["completion_tokens"] or 0))


def _choices(http: Http, answer: dict[str, Any]) -> Sequence[dict[str, Any]]:
    choices = answer.get("choices")
    if not isinstance(choices, list):
        raise http.malformed(f"{PATH}: `choices` is {'null' if choices is None else 'no list'}")
    return choices


def _reading(http: Http, choice: dict[str, Any]) -> Reading:
    logprobs = choice.get("logprobs")
    if not logprobs or not logprobs.get("top_logprobs"):
        raise NoLogprobs(f"{http.name} gives no top log-probabilities (start vLLM with --max-logprobs 20 or more)")
    with http.shape(PATH):
        listed = logprobs["top_logprobs"][0]
        if not listed:
            raise NoLogprobs(f"{http.name} gives an empty top_logprobs (start vLLM with --max-logprobs 20 or more)")
        top = {_id(http, token): number(http, value, "top_logprobs") for token, value in listed.items()}
        return Reading(_id(http, logprobs["tokens"][0]), top)


def _id(http: Http, token: str) -> int:
    prefix, _, number = str(token).partition(":")
    if prefix != "token_id" or not number.isdigit():
        raise http.malformed(f"ignores return_tokens_as_token_ids (token {token!r})")
    return int(number)


def number(http: Http, value: object, field: str) -> float:
    """A log-probability; what is none is a `NoLogprobs`, and never a score."""
    if not isinstance(value, int | float) or not isfinite(value):
        told = "null" if value is None else repr(value)[:20]
        raise NoLogprobs(f"{http.name}: `{field}` holds {told}, which is no log-probability")
    return float(value)
