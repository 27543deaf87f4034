"""From a model's ids to a completion: stop strings, stop ids, caps, and text that lags behind ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tokenizers.decoders import DecodeStream

from specreason_graph.testing.model import Odds, ScriptedModel
from specreason_graph.testing.request import CompletionRequest
from specreason_graph.testing.tokenizer import ByteTokenizer

_PRIMING = 8  # ids that a decoder needs to see of a prompt


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token, the text that it made visible, and on the last one why it is the last."""

    id: int
    odds: Odds
    text: str
    finish: Literal["stop", "length"] | None = None
    stop: str | int | None = None
    """The stop string or id; None for the end of turn, too."""


def generate(
    model: ScriptedModel, request: CompletionRequest, prompt: Sequence[int], *, context: int
) -> Iterator[Token]:
    """Continue one prompt until something stops it.

    As in vLLM, stop strings are looked for in this request's own text, which is cut there; the ids keep the whole
    token that completed one, and the end of turn. Text lags behind ids inside a character, and is held back while
    it might be the beginning of a stop string that is to be left out.
    """
    room = min(16 if request.max_tokens is None else request.max_tokens, context - len(prompt))
    held = 0 if request.include_stop_str_in_output else max(map(len, request.stops), default=1) - 1
    decoder = _decoder(model.tokenizer, prompt)
    text, shown = "", 0
    for count, (token, odds) in enumerate(model.speak(prompt, request.structured_outputs), 1):
        finish: Literal["stop", "length"] | None = None
        stop: str | int | None = None
        if token == model.end_of_turn:
            finish = "stop"
        elif token in (request.stop_token_ids or ()):
            finish, stop = "stop", token
        elif count == room:
            finish = "length"
        if finish != "stop" or request.include_stop_str_in_output:
            before = len(text)
            text += decoder.step(model.tokenizer.backend, token) or ""
            found = _first(request.stops, text, before)
            if found is not None:
                end, stop = found
                finish = "stop"
                text = text[:end] if request.include_stop_str_in_output else text[: end - len(stop)]
        visible = len(text) if finish else max(shown, len(text) - held)
        yield Token(token, odds, text[shown:visible], finish, stop)
        shown = visible
        if finish:
            return


def _first(stops: Sequence[str], text: str, before: int) -> tuple[int, str] | None:
    """The stop string that is completed first in what came behind `before`, and where it ends."""
    starts = [(text.find(stop, max(0, before - len(stop) + 1)), stop) for stop in stops]
    return min(((start + len(stop), stop) for start, stop in starts if start >= 0), default=None)


def _decoder(tokenizer: ByteTokenizer, prompt: Sequence[int]) -> DecodeStream:
    """The decoder that vLLM has, fault included: behind a prompt that ends inside a character, the text of the
    first whole character is that of the whole prompt with it."""
    recent = list(prompt[-_PRIMING:])
    whole = tokenizer.backend.decode(recent, skip_special_tokens=True)
    return DecodeStream(ids=list(prompt) if whole.endswith("\ufffd") else recent, skip_special_tokens=True)
