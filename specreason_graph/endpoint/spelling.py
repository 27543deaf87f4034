"""What token ids spell: read off what a server says anyway, else asked once a process.

Ids are the truth and a server's text is not: of several tokens in one event it gives one text for all, of a stop
string it gives a part. Byte-level and SentencePiece tokenizers spell a token the same wherever it stands, so a text
that was learned once is good for every run.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence

from specreason_graph.endpoint.memo import Memo
from specreason_graph.endpoint.protocol import Token

HALF = "\ufffd"
"""What stands for bytes that are no whole character."""

_ANCHOR = "A"  # SentencePiece drops a space at the beginning of what it decodes, so ids are asked for behind a letter
_LONGEST = 8  # tokens of one character at most, and of some that each end inside the next one

Piece = tuple[int, ...]
"""Ids from the beginning of a character on."""

# Hugging Face tokenizers read control tokens in any text; a break behind the first character hides them.
_CONTROL = re.compile(r"(?<=<)(?=[|｜]|/?(?:think|s|tool_call|[a-z]+_[a-z]+)>)|(?<=\[)(?=/?[A-Z_]+\])")


class Spelling:
    """The vocabulary of one model, as far as it is known.

    Args:
        encode: a text's ids (and, as a side effect, what the server tells of their spelling).
        decode: the text of some ids.
    """

    def __init__(
        self, encode: Callable[[str], Awaitable[Sequence[int]]], decode: Callable[[Sequence[int]], Awaitable[str]]
    ) -> None:
        self._encode = encode
        self._decode = decode
        self._texts: Memo[Piece, str] = Memo()
        self._anchors: Memo[str, Piece] = Memo()

    def learn(self, ids: Sequence[int], texts: Iterable[str]) -> None:
        """Keep what tokens were seen to spell; what ends inside a character tells nothing."""
        for token, text in zip(ids, texts, strict=False):
            if text and not text.endswith(HALF):
                self._texts.keep((token,), text)

    async def of(self, piece: Piece) -> str:
        """What some ids spell; a `HALF` at its end says that they end inside a character."""
        known = self._texts.known(piece)
        return await self._texts.get(piece, lambda: self._asked(piece)) if known is None else known

    async def meet(self, ids: Sequence[int], text: str) -> None:
        """Learn several tokens that came with one text, in one request if their tokenizer cuts it as they do."""
        if len(unknown := self._unknown(ids)) > 1 and text:
            await self._encode(text)
            unknown = self._unknown(ids)
        await asyncio.gather(*map(self.of, unknown))

    def _unknown(self, ids: Sequence[int]) -> set[Piece]:
        return {(token,) for token in ids if (token,) not in self._texts}

    async def _asked(self, piece: Piece) -> str:
        return (await self._decode([*await self.anchor(), *piece])).removeprefix(_ANCHOR)

    async def anchor(self) -> Piece:
        """A token that is a letter."""
        return await self._anchors.get(_ANCHOR, self._anchored)

    async def _anchored(self) -> Piece:
        return tuple(await self._encode(_ANCHOR))[-1:]


class Speech:
    """The tokens of one generation, in the order they come."""

    def __init__(self, spelling: Spelling) -> None:
        self._spelling = spelling
        self._piece: Piece = ()

    async def tokens(self, ids: Sequence[int], logprobs: Sequence[float], text: str = "") -> list[Token]:
        """Ids that came together, as tokens; `text` is what they were said to spell, where nothing was left out."""
        if len(ids) == 1 and not self._piece:
            self._spelling.learn(ids, [text])
        elif len(ids) > 1:
            await self._spelling.meet(ids, text)
        return [Token(token, logprob, await self._said(token)) for token, logprob in zip(ids, logprobs, strict=True)]

    async def _said(self, token: int) -> str:
        self._piece = (*self._piece, token)
        text = await self._spelling.of(self._piece)
        if text.endswith(HALF) and len(self._piece) < _LONGEST:
            return ""
        self._piece = ()
        return text


def plain_pieces(text: str) -> list[str]:
    """The text in pieces none of which spells a control token."""
    return [piece for piece in _CONTROL.split(text) if piece]


def texts_of(strings: Sequence[str], text: str) -> list[str] | None:
    """What each token of an encoded text spells, by the strings that `/tokenize` gives; None where they don't tell.

    Byte-level tokens have a letter a byte, SentencePiece writes spaces as `▁` and lone bytes as `<0x0A>`. A token
    that ends inside a character spells nothing, and the one that completes it all of it.
    """
    size = len(text.encode(errors="surrogatepass"))
    for widths in (
        [len(string) for string in strings],
        [1 if re.fullmatch(r"<0x..>", s) else len(s.replace("▁", " ").encode()) for s in strings],
    ):
        if sum(widths) == size:
            return sliced(text, widths)
    return None


def sliced(text: str, widths: Sequence[int]) -> list[str]:
    """A text in the pieces of its tokens, whose widths are in bytes."""
    raw = text.encode(errors="surrogatepass")
    texts, begin, end = list[str](), 0, 0
    for width in widths:
        end += width
        whole = end == len(raw) or raw[end] & 0xC0 != 0x80  # no character goes on behind it
        texts.append(raw[begin:end].decode(errors="replace") if whole else "")
        begin = end if whole else begin
    return texts
