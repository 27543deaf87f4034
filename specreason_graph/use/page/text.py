"""What a model wrote, as text that can be shown anywhere: nothing in it acts, and each character keeps its place."""

from __future__ import annotations

from typing import Any

_MOST = 20_000
"""Characters of one text on a page; the record holds them all."""

_REPLACED = "\N{REPLACEMENT CHARACTER}"
_TURNS = "\N{RIGHTWARDS ARROW OVER LEFTWARDS ARROW}"
"""Stands for what turns the direction of text, which could have a line read otherwise than it was written."""
_SHOWN: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\N{SYMBOL FOR DELETE}",
    **dict.fromkeys(range(0x80, 0xA0), _REPLACED),
    **dict.fromkeys([0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], _TURNS),
    **dict.fromkeys([0x2028, 0x2029], "\N{SYMBOL FOR NEWLINE}"),
    **dict.fromkeys([*range(0xD800, 0xE000), 0xFFFE, 0xFFFF], _REPLACED),  # halves of a character, which no file holds
}


def shown(value: Any) -> Any:
    """A record, with every text in it so that it can be shown: no longer than that, control characters as pictures."""
    if isinstance(value, str):
        return shortened(value).translate(_SHOWN)
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {shown(key): shown(item) for key, item in value.items()}
    return value


def shortened(text: str, most: int = _MOST) -> str:
    """A text's beginning, and how much of it is left out."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most:,} more characters are in the record)"
