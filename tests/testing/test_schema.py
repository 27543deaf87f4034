"""What a scripted model writes where nothing in its script satisfies a schema."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from specreason_graph.testing.schema import smallest

NODE: dict[str, Any] = {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}
TREE: dict[str, Any] = {
    "$defs": {"node": {"properties": {"left": NODE, "right": NODE}, "required": ["left", "right"]}},
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/node"}},
    "required": ["root"],
}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 0}),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "number", "maximum": -2}, -2),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "exclusiveMaximum": -3}, -4),
        ({"type": "string", "minLength": 2}, "xx"),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, [False, False]),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": {"k": 1}}, {"k": 1}),
        ({"type": ["string", "null"]}, ""),
        ({"allOf": [{"type": "object", "required": ["a"]}, {"required": ["b"]}]}, {"a": None, "b": None}),
        (TREE, {"root": {"left": None, "right": None}}),
        ({}, None),
    ],
)
def test_the_smallest_value_satisfies_its_schema(schema: Any, expected: object) -> None:
    assert smallest(schema) == expected
    Draft202012Validator(schema).validate(expected)


def test_a_schema_without_a_finite_value_is_an_error() -> None:
    with pytest.raises(ValueError, match="no finite value"):
        smallest({"properties": {"again": {"$ref": "#"}}, "required": ["again"]})
