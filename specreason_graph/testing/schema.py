"""JSON schemas, as far as tools' arguments and answers have them: what satisfies one, and a smallest value of one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
_DEEP = 16  # schemas inside each other; one that needs more of itself has no value


class _TooDeep(Exception):
    """A value needs more schemas inside each other."""


def satisfies(value: Any, schema: Any, root: Any = None) -> bool:
    """Whether a JSON value is one of a schema's; `root` has what `$ref` names. Formats and patterns are not looked at.

    Example:
        satisfies({"a": 1}, {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
    """
    root = schema if root is None else root
    if not isinstance(schema, Mapping):
        return schema is not False
    kinds = _kinds(schema)
    if kinds and not any(_is(value, kind) for kind in kinds):
        return False
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        return False
    if "$ref" in schema and not satisfies(value, _named(schema["$ref"], root), root):
        return False
    for word, holds in (("allOf", all), ("anyOf", any), ("oneOf", any)):
        if word in schema and not holds(satisfies(value, other, root) for other in schema[word]):
            return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        others = schema.get("additionalProperties", True)
        return all(name in value for name in schema.get("required", ())) and all(
            satisfies(held, known.get(name, others), root) for name, held in value.items()
        )
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        schemas = [*first, *[schema.get("items", True)] * (len(value) - len(first))]
        return _fits(len(value), schema, "Items") and all(map(satisfies, value, schemas, [root] * len(value)))
    if isinstance(value, str):
        return _fits(len(value), schema, "Length")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf):
            return False
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


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


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _fits(count: int, schema: Mapping[str, Any], what: str) -> bool:
    return bool(schema.get(f"min{what}", 0) <= count <= schema.get(f"max{what}", count))
