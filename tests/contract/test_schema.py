"""Schemas that somebody gives are looked at before anything is asked for in their name, and fetch nothing."""

from typing import Any

import pytest

from specreason_graph import ConfigError, Settings
from specreason_graph.contract.errors import checked
from specreason_graph.contract.schema import wrong

TREE: dict[str, Any] = {
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}},
    "type": ["object", "null"],
    "properties": {"tree": {"$ref": "#/$defs/node"}},
}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "nothing"}, "no JSON schema"),
        ({"type": "object", "properties": []}, "no JSON schema"),
        ({"properties": {"a": {"$ref": "#/$defs/nope"}}}, "refers to '#/$defs/nope'"),
        ({"items": {"$ref": "http://127.0.0.1:9/x.json"}}, "refers to 'http://127.0.0.1:9/x.json'"),
    ],
)
def test_what_is_no_schema_is_refused_by_the_setting_that_has_it(schema: Any, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        checked(Settings, {"answer_schema": schema})
    assert str(refused.value).startswith("answer_schema: it ")
    assert says in str(refused.value)
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": {"x": schema}}},
    }
    with pytest.raises(ConfigError, match=r"^tools\.0: f: of its parameters' schema: it "):
        checked(Settings, {"tools": [tool]})


def test_a_text_is_looked_at_whole() -> None:
    assert Settings(answer_schema=TREE).answer_schema == TREE
    assert wrong("null", TREE) is None
    assert wrong('{"tree": {"next": {"next": 3}}}', TREE) == "$.tree.next.next: 3 is not of type 'object'"
    assert wrong('{"tree"', TREE) == "it is no JSON"
