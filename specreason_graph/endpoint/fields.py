"""One field of a server's answer, looked at before it is used.

A proxy, another version or another engine may leave a field out, fill it with null, or ignore what was asked for.
Each is told by a typed error that names the server and the field; none of it may turn into a score.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import float_info
from typing import Any, TypeVar

from specreason_graph.contract.errors import NoLogprobs
from specreason_graph.endpoint.http import Http

_Value = TypeVar("_Value")

_LOWEST = float_info.max  # beyond are infinity, and integers that are no floats; NaN is not between any two numbers
_NOISE = 0.01  # nats above 0 that rounding may make of a certain token's log-probability


def required(http: Http, path: str, holder: object, name: str, kind: type[_Value]) -> _Value:
    """A field that must be there, and of this kind.

    Raises:
        MalformedResponse: it is not.
    """
    if not isinstance(holder, Mapping) or name not in holder:
        raise http.malformed(f"{path} gives no `{name}`")
    value = holder[name]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise http.malformed(f"{path}: `{name}` is {shown(value)}")
    return value


def optional(http: Http, path: str, holder: object, name: str, kind: type[_Value]) -> _Value | None:
    """The same, of a field that may be left out, or null."""
    if isinstance(holder, Mapping) and holder.get(name) is None:
        return None
    return required(http, path, holder, name, kind)


def number(http: Http, value: object, name: str) -> float:
    """A log-probability.

    Raises:
        NoLogprobs: it is none, and may not become a score.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_LOWEST < value <= _NOISE:
        raise NoLogprobs(f"{http.name}: `{name}` holds {shown(value)}, which is no log-probability")
    return float(value)


def shown(value: Any) -> str:
    """What a message says of a value."""
    return "null" if value is None else repr(value)[:40]
