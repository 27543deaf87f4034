"""A smallest value of a JSON schema, as far as tools' arguments and answers have them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

_DEEP = 16  # schemas inside each other; one that needs more of itself has no value


class _TooDeep(Exception):
    """A value needs more schemas inside each other."""


def smallest(schema: Any) -> Any:
    """A value that satisfies a schema, with no more in it than it needs.

    Raises:
        ValueError: each of its values would hold another one, without end.
    """
    for deep in range(_DEEP):  # the flattest: what may hold another one of its own then doesn't
        with suppress(_TooDeep):
            return _smallest(schema, schema, deep)
    raise ValueError("no finite value satisfies this schema")


def _smallest(schema: Any, root: Any, deep: int) -> Any:
    if deep < 0:
        raise _TooDeep
    if not isinstance(schema, Mapping):
        return None
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "$ref" in schema:
        return _smallest(_named(schema["$ref"], root), root, deep - 1)
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return _first(options, root, deep)
    if "allOf" in schema:
        return _smallest(_joined(schema["allOf"], root), root, deep - 1)
    kind = next(iter(_kinds(schema)), "object" if "properties" in schema else "null")
    if kind == "object":
        known = schema.get("properties", {})
        return {name: _smallest(known.get(name), root, deep - 1) for name in schema.get("required", ())}
    if kind == "array":
        items = [*schema.get("prefixItems", ()), *[schema.get("items")] * schema.get("minItems", 0)]
        return [_smallest(item, root, deep - 1) for item in items[: schema.get("minItems", 0)]]
    if kind == "string":
        return "x" * schema.get("minLength", 0)
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        return min(max(0, low), schema.get("maximum", schema.get("exclusiveMaximum", math.inf) - 1))
    return False if kind == "boolean" else None


def _first(options: Sequence[Any], root: Any, deep: int) -> Any:
    for option in options:
        with suppress(_TooDeep):
            return _smallest(option, root, deep - 1)
    raise _TooDeep


def _joined(schemas: Sequence[Any], root: Any) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for schema in schemas:
        whole = _named(schema["$ref"], root) if "$ref" in schema else schema
        required = [*joined.get("required", ()), *whole.get("required", ())]
        properties = {**joined.get("properties", {}), **whole.get("properties", {})}
        joined = {**joined, **whole, "required": required, "properties": properties}
    return joined


def _named(reference: str, root: Any) -> Any:
    found = root
    for name in reference.removeprefix("#").strip("/").split("/"):
        found = found[name.replace("~1", "/").replace("~0", "~")] if name else found
    return found


def _kinds(schema: Mapping[str, Any]) -> Sequence[str]:
    kinds: str | Sequence[str] = schema.get("type", ())
    return [kinds] if isinstance(kinds, str) else kinds
