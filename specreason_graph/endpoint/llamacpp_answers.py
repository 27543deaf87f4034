"""What llama.cpp's `/completion` answers, read with care: every field that a score hangs on is looked at."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from specreason_graph.contract.errors import NoLogprobs
from specreason_graph.endpoint.fields import number, optional, required, shown
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.protocol import End, Marker, Reading, Usage

PATH = "/completion"


@dataclass(slots=True)
class Held:
    """Tokens that the server has told, but not yet the text of."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    count: int = 0
    """Of all tokens: of a character of several, the server tells the last one's id only."""

    def add(self, http: Http, event: dict[str, Any], predicted: int) -> int:
        """Take one event's tokens, where `predicted` were told before. Returns how many are told now.

        Raises:
            NoLogprobs: log-probabilities are missing, or are no numbers.
            MalformedResponse: another field is not what it should be.
        """
        ids = required(http, PATH, event, "tokens", list)
        logprobs = [
            number(http, required(http, PATH, token, "logprob", object), "logprob") for token in _told(http, event)
        ]
        if not all(isinstance(token, int) for token in ids):
            raise http.malformed(f"{PATH}: `tokens` holds what is no id")
        if len(logprobs) != len(ids):
            raise http.malformed(f"{PATH}: {len(ids)} `tokens` and {len(logprobs)} `completion_probabilities`")
        self.ids += ids
        self.logprobs += logprobs
        now = required(http, PATH, event, "tokens_predicted", int)
        self.count += now - predicted
        return now

    def ended(self, http: Http, event: dict[str, Any], close: Marker | None) -> tuple[End, str]:
        """Why a generation ended, and the text of the tokens that are still held; the one that ended it is not.

        Raises:
            MalformedResponse: a field is not what it should be.
        """
        counts, kind = usage(http, event), event.get("stop_type")
        text, word = (optional(http, PATH, event, name, str) or "" for name in ("content", "stopping_word"))
        if kind == "limit":
            return End("length", counts), ""
        if kind == "word" and (close is None or word != close.text):
            return End("boundary", counts), text + word
        if kind not in ("eos", "word"):
            raise http.malformed(f"{PATH}: a generation ended for an unknown reason (`stop_type` {shown(kind)})")
        closing = (self.ids.pop(), self.logprobs.pop()) if self.ids else None
        self.count -= closing is not None
        return End("close" if kind == "word" else "end_of_turn", counts, closing), text


def spellings(event: dict[str, Any]) -> dict[int, str]:
    """What an event tells of tokens by themselves; its own text may lack what might begin a stop."""
    found: dict[int, str] = {}
    for token in event.get("completion_probabilities") or ():
        for top in token.get("top_logprobs") or ():
            with suppress(KeyError, TypeError, ValueError):  # half a character, or a server that does not tell
                found[int(top["id"])] = bytes(top["bytes"]).decode()
    return found


def readings(http: Http, answer: Any, prompts: int) -> list[tuple[Reading, Usage]]:
    """The next token's distribution behind each prompt, in the prompts' order.

    Raises:
        NoLogprobs: log-probabilities are missing, or are no numbers.
        MalformedResponse: another field is not what it should be.
    """
    answers = answer if isinstance(answer, list) else [answer]
    results = {required(http, PATH, result, "index", int): result for result in answers}
    if sorted(results) != list(range(prompts)):
        raise http.malformed(f"{PATH} answers {len(results)} of {prompts} prompts")
    return [(_reading(http, results[index]), usage(http, results[index])) for index in range(prompts)]


def usage(http: Http, event: dict[str, Any]) -> Usage:
    """Tokens of a request; cached ones are unknown where the server does not count them."""
    timings = optional(http, PATH, event, "timings", dict) or {}
    return Usage(
        required(http, PATH, event, "tokens_evaluated", int),
        optional(http, PATH, timings, "cache_n", int),
        required(http, PATH, event, "tokens_predicted", int),
    )


def _told(http: Http, event: dict[str, Any]) -> list[Any]:
    found = optional(http, PATH, event, "completion_probabilities", list)
    if found is None:
        raise NoLogprobs(f"{http.name} gives no `completion_probabilities`: is it llama.cpp's own server?")
    return found


def _reading(http: Http, result: dict[str, Any]) -> Reading:
    listed = [top for token in _told(http, result)[:1] for top in required(http, PATH, token, "top_logprobs", list)]
    top = {
        required(http, PATH, token, "id", int): number(http, token.get("logprob"), "top_logprobs") for token in listed
    }
    if not top:
        raise NoLogprobs(f"{http.name} gives no `top_logprobs`")
    return Reading(max(top, key=top.__getitem__), top)
