"""JSON schemas that somebody gives: whether they are such, and whether a text is of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

_OF_OTHERS = frozenset({"additionalProperties", "patternProperties", "$ref", "allOf", "anyOf", "oneOf", "if"})
_VALUES = frozenset({"default", "const", "enum", "examples"})
_NOTHING_ELSE: Registry[Any] = Registry()  # by default, a schema at an address would be fetched from there


def check_schema(schema: Mapping[str, Any]) -> None:
    """Look at a schema before anything is asked for in its name.

    Raises:
        ValueError: it is none, or it refers to what is not in it.
    """
    reason = _reason(json.dumps(schema, sort_keys=True, default=repr))
    if reason is not None:
        raise ValueError(reason)


def wrong(text: str, schema: Mapping[str, Any]) -> str | None:
    """What is wrong with a JSON text, by a schema that was looked at; None where nothing is."""
    try:
        value = json.loads(text, parse_constant=_no_number)
    except ValueError:
        return "it is no JSON"
    errors = Draft202012Validator(schema, registry=_NOTHING_ELSE).iter_errors(value)
    return next((f"{error.json_path}: {error.message[:200]}" for error in errors), None)


def names_all(schema: Mapping[str, Any]) -> bool:
    """Whether an object has no other properties than the schema names: it speaks of none, and names none elsewhere."""
    return "properties" in schema and not schema.keys() & _OF_OTHERS


def takes_nothing(schema: Mapping[str, Any]) -> bool:
    """Whether nothing but an empty object is meant: an object that names no properties, and says nothing of others."""
    elsewhere = {key for key in schema.keys() & _OF_OTHERS if schema[key] is not False}
    return not schema.get("properties") and not elsewhere


def resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of a schema that was looked at, or what of the root it refers to."""
    resolver = _NOTHING_ELSE.with_resource("", DRAFT202012.create_resource(dict(root))).resolver()
    while isinstance(schema.get("$ref"), str):
        found = resolver.lookup(schema["$ref"]).contents
        schema = found if isinstance(found, Mapping) else {}
    return schema


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON")


@lru_cache(maxsize=256)
def _reason(text: str) -> str | None:
    """Why a schema, as JSON, is none; a run's settings are looked at again at every step."""
    schema = json.loads(text)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"it is no JSON schema ({error.json_path}: {error.message[:200]})"
    resolver = _NOTHING_ELSE.with_resource("", DRAFT202012.create_resource(schema)).resolver()
    for reference in _references(schema):
        seen, at = set[str](), reference
        while at not in seen:
            seen.add(at)
            try:
                found = resolver.lookup(at).contents
            except Unresolvable:
                return f"it refers to {at!r}, which is not in it"
            if not isinstance(found, dict) or not isinstance(found.get("$ref"), str):
                break
            at = found["$ref"]
        else:
            return f"{reference!r} is nothing but itself"
    return None


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [reference for item in value for reference in _references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [reference for key, item in value.items() if key not in _VALUES for reference in _references(item)]
