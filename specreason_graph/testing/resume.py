"""Where a script goes on behind what was said, calls of tools included, whoever wrote their markup."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_OPENING = re.compile(r"(?=<tool_call>|<｜tool▁calls▁begin｜>|(?<!<｜tool▁calls▁begin｜>)<｜tool▁call▁begin｜>)")
_PLACE = re.compile(
    r'"name":\s*"|"(?:arguments|parameters)":\s*|<｜tool▁sep｜>|```json\s*|<function=|(?P<function>(?<=<function=)[^>]*>\s*)'
    r"|<parameter=|(?<=<parameter=)[^>]*>\s*|</parameter>|</function>|</tool_call>|<｜tool▁call▁end｜>"
)
"""Where a part of a call begins, or is over: its name, its arguments, itself; whichever function it is of."""


def resumed(text: str, said: str) -> str:
    """What is left of `text` behind something said that may end with a beginning of it.

    Going by the longest such end, a token more of the text in `said` is a token less in what is left.
    """
    longest = next((n for n in range(min(len(text), len(said)), 0, -1) if said.endswith(text[:n])), 0)
    return text[longest:]


def called(said: str, texts: Sequence[str]) -> str | None:
    """What is left of a script behind something said that holds calls; None if it holds none.

    If three calls were opened, the script is in its third one: that of the first of `texts` that has as many. A client
    may have written parts of it: white space is passed over, and behind a part that is not the script's, the script
    goes on with what comes behind the same part of its own. A script without this call has nothing more to say.
    """
    opened = _OPENING.split(said)[1:]
    if not opened:
        return None
    for text in texts:
        calls = _OPENING.split(text)[1:]
        if calls and len(opened) <= len(calls):
            return _behind(calls[len(opened) - 1], "".join(calls[len(opened) :]), opened[-1])
    return ""


def _behind(call: str, later: str, said: str) -> str:
    """What is left of a call and the text behind it."""
    text = call + later
    left = aligned(text, said)
    if left is not None:
        return left
    places = _places(said)
    if not places:
        return resumed(text, said)
    name, end = places[-1]
    number = sum(other == name for other, _ in places)
    same = [end for other, end in _places(call) if other == name]
    if number > len(same):
        return ""
    part, own = text[same[number - 1] :], said[end:]
    left = aligned(part, own)
    if left is not None:
        return left
    written = _value(own)
    if written is not None and (meant := _value(part)) is not None:
        left = aligned(part[meant:], own[written:])
    return resumed(part, own) if left is None else left


def _places(call: str) -> list[tuple[str, int]]:
    """What each part of a call begins with, without white space, and where that ends."""
    return [(match.lastgroup or "".join(match[0].split()), match.end()) for match in _PLACE.finditer(call)]


def aligned(text: str, said: str) -> str | None:
    """What is left of `text` where `said` begins it but for white space; None if it doesn't."""
    at = 0
    for letter in said:
        while at < len(text) and text[at] != letter and text[at].isspace():
            at += 1
        if at < len(text) and text[at] == letter:
            at += 1
        elif not letter.isspace():
            return None
    return text[at:]


def _value(text: str) -> int | None:
    """Where the JSON value that begins a text ends."""
    begun = text.lstrip()
    try:
        return len(text) - len(begun) + json.JSONDecoder().raw_decode(begun)[1]
    except ValueError:
        return None
