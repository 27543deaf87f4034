"""Of the schemas that tools are held to."""

from __future__ import annotations

from typing import Any

import pytest

from specreason_graph.contract.tools import as_openai_tool, named

A = {"a": {"type": "integer"}}


@pytest.mark.parametrize(
    ("parameters", "more"),
    [
        ({"type": "object", "properties": A}, {"additionalProperties": False}),
        ({"type": "object", "properties": A, "additionalProperties": {"type": "string"}}, {}),
        ({"type": "object", "properties": A, "patternProperties": {"^x": {}}}, {}),
        ({"type": "object", "properties": A, "allOf": [{"properties": {"b": {}}}]}, {}),
        ({"$ref": "#/$defs/it", "$defs": {"it": {"type": "object", "properties": A}}}, {}),
        ({"type": "object"}, {}),
    ],
)
def test_arguments_that_a_tool_does_not_name_are_none(parameters: dict[str, Any], more: dict[str, Any]) -> None:
    """A small model would go on with the schema's own words."""
    tool = as_openai_tool({"type": "function", "function": {"name": "add", "parameters": parameters}})
    assert named([tool]) == {"add": {**parameters, **more}}
    assert tool["function"]["parameters"] == parameters
