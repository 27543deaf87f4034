"""What token ids spell: read off what a server says anyway, else asked once a process.

Ids are the truth and a server's text is not: of several tokens in one event it gives one text for all, of a stop
string it gives a part. Byte-level and SentencePiece tokenizers spell a token the same wherever it stands, so a text
that was learned once is good for every run.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Sequence

from specreason_graph.endpoint.memo import Memo
from specreason_graph.endpoint.protocol import Token

HALF = "\ufffd"
"""What stands for bytes that are no whole character."""

_ANCHOR = "A"  # SentencePiece drops a space at the beginning of what it decodes, so ids are asked for behind a letter
_LONG, _LONGEST = 8, 32  # tokens without a whole character's end that are looked at closely, and given up

Piece = tuple[int, ...]
"""Ids from the beginning of a character on."""

_PRINTED = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
_OTHERS = [byte for byte in range(0x100) if byte not in _PRINTED]
_BYTES = {chr(byte): byte for byte in _PRINTED} | {chr(0x100 + at): byte for at, byte in enumerate(_OTHERS)}
"""Byte-level BPE's letter for each byte (GPT-2's table)."""


class Spelling:
    """The vocabulary of one model, as far as it is known.

    Args:
        ids: of a text, with no look-up of what they spell.
        encode: the same, where whoever answers has learned what can be told of their spelling.
        decode: the text of some ids.
    """

    def __init__(
        self,
        ids: Callable[[str], Awaitable[Sequence[int]]],
        encode: Callable[[str], Awaitable[object]],
        decode: Callable[[Sequence[int]], Awaitable[str]],
    ) -> None:
        self._ids = ids
        self._encode = encode
        self._decode = decode
        self._texts: Memo[Piece, str] = Memo()
        self._anchors: Memo[str, Piece] = Memo()

    def __contains__(self, piece: Piece) -> bool:
        return piece in self._texts

    def learn(self, ids: Iterable[int], texts: Iterable[str]) -> None:
        """Keep what tokens were seen to spell, the first of them from the beginning of a character on."""
        piece: Piece = ()
        for token, text in zip(ids, texts, strict=False):
            piece = (*piece, token)
            if text:
                if not text.endswith(HALF):
                    self._texts.keep(piece, text)
                piece = ()

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
        return tuple(await self._ids(_ANCHOR))[-1:]


class Speech:
    """The tokens of one generation, in the order they come.

    Args:
        spelling: of the model that speaks.
        behind: the last id of the prompt.
    """

    def __init__(self, spelling: Spelling, behind: int | None = None) -> None:
        self._spelling = spelling
        self._behind = behind
        self._piece: Piece = ()
        self._apart = False
        """Whether the server may have given the text of other ids than ours with this piece's."""

    async def tokens(self, ids: Sequence[int], logprobs: Sequence[float], text: str = "") -> list[Token]:
        """Ids that came together, as tokens; `text` is what they were said to spell, where nothing was left out."""
        if len(ids) == 1 and text:
            await self._learn((*self._piece, *ids), text)
        elif len(ids) > 1:
            await self._spelling.meet(ids, text)
        return [Token(token, logprob, await self._said(token)) for token, logprob in zip(ids, logprobs, strict=True)]

    async def _learn(self, piece: Piece, text: str) -> None:
        if piece in self._spelling:
            return
        if self._behind is not None:  # behind a prompt that ends inside a character, vLLM gives the prompt's text, too
            self._apart = (await self._spelling.of((self._behind,))).endswith(HALF)
            self._behind = None
        if not self._apart:
            self._spelling.learn(piece, ["" for _ in piece[1:]] + [text])

    async def _said(self, token: int) -> str:
        self._piece = (*self._piece, token)
        text = await self._spelling.of(self._piece)
        if not text.endswith(HALF):
            self._piece, self._apart = (), False
        elif len(self._piece) < _LONG:
            return ""
        else:
            text = await self._parted(text)
        return text

    async def _parted(self, text: str) -> str:
        """The whole characters of a long piece, where the rest of it is one character's beginning: ids that spell a
        `HALF`, or that each end inside the next one's first character, would be held back for ever."""
        for size in range(1, 4):
            begun, rest = self._piece[:-size], self._piece[-size:]
            if await self._spelling.of(rest) == HALF and await self._spelling.of(begun) + HALF == text:
                self._piece, self._apart = rest, True
                return text.removesuffix(HALF)
        if len(self._piece) < _LONGEST:
            return ""
        self._piece, self._apart = (), True
        return text


def spells_control(text: str) -> bool:
    """Whether a token's text is a control token's: letters between marks, which tokenizers keep apart in any text."""
    first, inside, last = (text := text.strip())[:1], text[1:-1], text[-1:]
    marked = is_mark(first) and is_mark(last) and HALF not in text
    return marked and any(map(str.isalnum, inside)) and not any(map(str.isspace, inside))


def is_mark(letter: str) -> bool:
    """Whether it is punctuation or a symbol; the vowels that some scripts write above letters are none."""
    return letter != "" and unicodedata.category(letter)[0] in "PS"


def plain_pieces(text: str, texts: Sequence[str]) -> list[str]:
    """A text in pieces none of which spells a control token, by what the tokens spell that it was read as.

    Hugging Face tokenizers read control tokens in any text; a break behind the first mark hides them.
    """
    pieces, begin, end = list[str](), 0, 0
    for control in (it.strip() for it in texts if spells_control(it)):
        if (found := text.find(control, end)) >= 0:
            pieces.append(text[begin : found + 1])
            begin, end = found + 1, found + len(control)
    return [*pieces, text[begin:]] if text[begin:] else pieces


def texts_of(strings: Sequence[object], text: str) -> list[str] | None:
    """What each token of an encoded text spells, by the strings that `/tokenize` gives; None where they don't tell.

    Byte-level tokens have a letter a byte, SentencePiece writes spaces as `▁` and lone bytes as `<0x0A>`. A token
    that ends inside a character spells nothing, and the one that completes it all of it.
    """
    written = [string for string in strings if isinstance(string, str)]
    raw = text.encode(errors="surrogatepass")
    for spelled in ([_byte_level(string) for string in written], [_sentence_piece(string) for string in written]):
        if b"".join(spelled) == raw and len(spelled) == len(strings):
            return sliced(text, [len(one) for one in spelled])
    return None


def _byte_level(string: str) -> bytes:
    """GPT-2's letters for bytes; control tokens are written as they are."""
    if all(letter in _BYTES for letter in string):
        return bytes(_BYTES[letter] for letter in string)
    return string.encode(errors="surrogatepass")


def _sentence_piece(string: str) -> bytes:
    if re.fullmatch(r"<0x[0-9A-Fa-f]{2}>", string):
        return bytes([int(string[3:5], 16)])
    return string.replace("▁", " ").encode(errors="surrogatepass")


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
