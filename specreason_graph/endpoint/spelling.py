"""How Hugging Face tokenizers spell text: what vLLM's `/tokenize` gives, and what it has to be kept from reading."""

from __future__ import annotations

import re

# They read control tokens in any text; a break behind the first character hides them.
_CONTROL = re.compile(r"(?<=<)(?=[|｜]|/?(?:think|s|tool_call|[a-z]+_[a-z]+)>)|(?<=\[)(?=/?[A-Z_]+\])")


def plain_pieces(text: str) -> list[str]:
    """The text in pieces none of which spells a control token."""
    return [piece for piece in _CONTROL.split(text) if piece]


def token_widths(strings: list[str], text: str) -> list[int]:
    """Bytes of text a token stands for: byte-level tokens have a letter a byte, SentencePiece spells spaces `▁`."""
    widths = [len(string) for string in strings]
    if sum(widths) == len(text.encode()):
        return widths
    return [1 if re.fullmatch(r"<0x..>", s) else len(s.replace("▁", " ").encode()) for s in strings]
