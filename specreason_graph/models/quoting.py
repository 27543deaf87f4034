"""What somebody typed stays text, though it spells a control token: `<|im_end|>` in a question ends no turn.

A chat template puts what was said between control tokens, and a tokenizer reads both alike. So control tokens that were
typed are hidden behind a word while the conversation is rendered. Where the rendered text has that word, the ids of
the typed text are put, read in two halves. Which texts are control tokens is asked of the model's own tokenizer, in one
request, and only where something looks like one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from specreason_graph.contract.errors import ConfigError, NoRoom
from specreason_graph.endpoint.protocol import Endpoint
from specreason_graph.endpoint.spelling import is_mark, spells_control

_Value = TypeVar("_Value")

_BYTES = 32
"""Of a token at most, on average over a conversation and with runs of one letter left out: eight times prose's."""

_MOST = 2000
"""Pieces of a conversation that are read apart: each is a request."""

_BEGINS, _ENDS = re.compile(r"[^\s\w\"'“”‘’(),.;:!?-]"), re.compile(r"[^\s\w]\w*\Z")
_RUNS = re.compile(r"(.)\1{3,}", re.DOTALL)


class Quotes(NamedTuple):
    """Control tokens that were typed in a conversation, and the word that each is hidden behind."""

    stem: str
    controls: tuple[str, ...]

    def hidden(self, value: _Value) -> _Value:
        """Messages or tools with words in place of control tokens."""
        pattern = re.compile("|".join(map(re.escape, sorted(self.controls, key=len, reverse=True))))
        changed: _Value = _changed(value, lambda text: pattern.sub(self._word, text))
        return changed

    async def ids(self, endpoint: Endpoint, rendered: str) -> list[int]:
        """The ids of a rendered text, with what is behind the words read as plain text.

        Raises:
            ConfigError: too much is hidden in it.
        """
        pieces = [
            piece for at, part in enumerate(self._parts(rendered)) for piece in self._read(part, typed=at % 2 == 1)
        ]
        distinct = list(dict.fromkeys(pieces))
        if len(distinct) > _MOST:
            raise ConfigError("messages: they spell control tokens of the model in too many places; leave these out")
        found = await asyncio.gather(*(endpoint.encode(piece, control=True) for piece in distinct))
        ids = {piece: encoded.ids for piece, encoded in zip(distinct, found, strict=True)}
        return [token for piece in pieces for token in ids[piece]]

    def _word(self, control: re.Match[str]) -> str:
        return f"{self.stem}{self.controls.index(control[0])}E"

    def _parts(self, rendered: str) -> list[str]:
        """The template's text and the numbers of what was typed, by turns."""
        return re.split(rf"{self.stem}(\d+)E", rendered)

    def _read(self, part: str, *, typed: bool) -> list[str]:
        """A control token in halves, neither of which is one; a part that is empty is none."""
        if not typed:
            return [part] if part else []
        control = self.controls[int(part)]
        return [control[:1], control[1:]]


async def quotes(endpoint: Endpoint, *values: object) -> Quotes | None:
    """What is typed in messages and tools that this endpoint's tokenizer reads as control tokens; None: nothing.

    Raises:
        ConfigError: a text is none, or more than the context can hold; said before anything is read.
    """
    texts = [text for value in values for text in _texts(value)]
    _check(texts, (await endpoint.card()).context)
    suspects = dict.fromkeys(suspect for text in texts for suspect in _suspects(text))
    if not suspects:
        return None
    typed = "\n".join(suspects)
    read = await endpoint.encode(typed, control=True)
    controls = tuple(dict.fromkeys(text.strip() for text in read.texts if spells_control(text)))
    if other := [control for control in controls if control not in typed]:  # a tokenizer that changes letters first
        raise ConfigError(f"messages: the model reads something in them as {other[0]}; leave it out")
    stem = "QUOTED"
    while any(stem in text for text in texts):
        stem += "Q"
    return Quotes(stem, controls) if controls else None


def _check(texts: Sequence[str], context: int) -> None:
    try:
        size = sum(len(text.encode()) for text in texts)
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ConfigError(f"messages: U+{ord(half):04X} is half a character, and no text; leave it out") from None
    if size > _BYTES * context and sum(len(_RUNS.sub("", text).encode()) for text in texts) > _BYTES * context:
        raise NoRoom(
            f"messages: {size} bytes are more than a context of {context} tokens can hold; shorten the conversation"
        )


def _suspects(text: str) -> Iterator[str]:
    """Parts of a text in which a control token may stand: words that hold letters between marks."""
    for word in text.split():
        begins, ends = next(filter(_is_mark, _BEGINS.finditer(word)), None), _ENDS.search(word)
        if begins and ends and ends.start() - begins.start() > 1:
            yield word[begins.start() : ends.start() + 1]


def _is_mark(found: re.Match[str]) -> bool:
    return is_mark(found[0])


def _texts(value: object) -> Iterator[str]:
    """Every text in messages or tools, names of fields among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(name)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """Messages or tools with every text changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {_changed(name, change): _changed(inner, change) for name, inner in value.items()}
    return [_changed(inner, change) for inner in value] if isinstance(value, list | tuple) else value
