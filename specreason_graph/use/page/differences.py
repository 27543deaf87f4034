"""Two versions of one step, and where they differ."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from pydantic import BaseModel

_MOST = 1_000
"""Words of a version; longer ones are shown without marks, since comparing them takes the square."""
_WORDS = re.compile(r"\w+|\s+|[^\w\s]")


class Piece(BaseModel):
    """A stretch of a version: as in the other one, or only in this one."""

    text: str
    differs: bool


class Versions(BaseModel):
    """What the draft wrote, and what was kept in its place; each version's pieces joined are its text."""

    drafted: list[Piece]
    kept: list[Piece]


def versions(drafted: str, kept: str) -> Versions:
    """Compare two versions word by word."""
    one, other = _WORDS.findall(drafted), _WORDS.findall(kept)
    if max(len(one), len(other)) > _MOST:
        return Versions(drafted=_pieces([(drafted, False)]), kept=_pieces([(kept, False)]))
    found: tuple[list[tuple[str, bool]], list[tuple[str, bool]]] = ([], [])
    for kind, *bounds in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        for pieces, words, begin, end in zip(found, (one, other), bounds[::2], bounds[1::2], strict=True):
            text = "".join(words[begin:end])
            pieces += _marked(text) if kind != "equal" else [(text, False)]
    return Versions(drafted=_pieces(found[0]), kept=_pieces(found[1]))


def _marked(text: str) -> list[tuple[str, bool]]:
    """What differs, but for the blanks around it: marked, they are stripes at the ends of lines."""
    words = text.strip()
    ahead = len(text) - len(text.lstrip())
    behind = ahead + len(words)
    return [(text[:ahead], False), (words, True), (text[behind:], False)] if words else [(text, False)]


def _pieces(found: list[tuple[str, bool]]) -> list[Piece]:
    return [Piece(text=text, differs=differs) for text, differs in found if text]
