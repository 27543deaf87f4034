"""Text as a model would write it: which ids come behind a transcript, whatever ids the transcript is made of."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import lru_cache

from specreason_graph.testing.tokenizer import CALLS, CONTROL, ByteTokenizer

_APART = (*CONTROL, *CALLS)
_CONTROL = re.compile("|".join(map(re.escape, _APART)))
_PIECE = re.compile(
    rf"{_CONTROL.pattern}|(?:(?!{_CONTROL.pattern})(?:[^\n]|\n(?!\n)))*(?:\n{{2,}}|(?={_CONTROL.pattern})|\Z)"
)


def decoded(raw: bytes) -> tuple[str, bytes]:
    """The text of some bytes, and what is left where they end inside a character."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(raw)
    return text, decoder.getstate()[0]


def continued(tokenizer: ByteTokenizer, said: str, pending: bytes, rest: str) -> Iterator[int]:
    """Ids of `rest` as they come behind `said` and, where that ends inside a character, the `pending` bytes.

    Both are cut into the same pieces (up to a blank line, or a control token) whatever was said already, and each
    piece is encoded alone. So what one request would write is what the next, with part of it in its prompt, writes.
    A prompt that ends inside a token is led to that token's end byte by byte.
    """
    begin = _last_piece(said)
    window = said[begin:] + rest
    skip = len(said[begin:].encode()) + (len(pending) if rest.encode().startswith(pending) else 0)
    for match in _PIECE.finditer(window):
        behind = match.end() < len(window) and not _CONTROL.match(window, match.end())
        for token in _encoded(tokenizer, match[0], behind):
            raw = tokenizer.spelling[token]
            if not skip:
                yield token
            elif skip < len(raw):
                yield from (tokenizer.byte_ids[byte] for byte in raw[skip:])
            skip = max(0, skip - len(raw))


def _last_piece(said: str) -> int:
    text = said.rstrip("\n")  # newlines to come may belong to the blank line that ends it
    control = max((text.rfind(token) + len(token) for token in _APART if token in text), default=0)
    return max(control, text.rfind("\n\n") + 2 if "\n\n" in text else 0)


@lru_cache(maxsize=4096)
def _encoded(tokenizer: ByteTokenizer, piece: str, followed: bool) -> list[int]:
    return tokenizer.encode(f"{piece}x")[:-1] if followed and piece.endswith("\n") else tokenizer.encode(piece)
