"""What messages may quote of a request: names, and no text that could be an image's base64, or a key."""

from __future__ import annotations

import re

_NAME = re.compile(r"[a-z][a-z0-9]{0,15}([ _.-][a-z0-9]{1,12}){0,3}", re.IGNORECASE)
_ID = re.compile(r"[\w.:-]{1,64}")
_MOST = 5
"""Names of an object that are told."""


def quotable(name: object, otherwise: str) -> str:
    """A name as it is, or other words where it is none."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else otherwise


def quotable_id(name: str) -> str:
    """An id as it is, or what a text is that is too odd for one."""
    return name if _ID.fullmatch(name) else f"an id of {len(name)} characters"


def kind_of(value: object) -> str:
    """What a JSON value is, without what it says."""
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return "a number" if not isinstance(value, bool) else "a truth value"
        case str():
            return "a text"
        case dict():
            names = [name for name in value if quotable(name, "")]
            return f"an object of {', '.join(names[:_MOST])}" if names else "an object"
    return "a list"
