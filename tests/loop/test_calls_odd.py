"""Calls left open, schemas that name no arguments, bounds between two calls: nothing wrong passes as a call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.models.tool_format import builtin_formats
from specreason_graph.testing import Script, scripted_pair

from .calling import QUESTION, STEPS, TOOLS, called, preset, reply_of

FORMATS = ["hermes", "qwen3-coder", "deepseek"]


def tool(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "description": "?", "parameters": dict(parameters)}}


async def replied(format_name: str, text: str, **settings: Any) -> Any:
    """The reply where base answers in these words."""
    script = Script(STEPS, answer=text)
    async with scripted_pair(script, script, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, presets=[preset(format_name, "think")]).compile()
        return reply_of(await graph.ainvoke(QUESTION, context=Settings(preset="mine", **settings)))


async def test_an_argument_that_is_left_open_is_none() -> None:
    opened = "<tool_call>\n<function=say>\n<parameter=text>\nPar"
    reply = await replied("qwen3-coder", opened, tools=TOOLS)
    assert reply.tool_calls == []
    assert [call["name"] for call in reply.invalid_tool_calls] == ["say"]
    assert reply.response_metadata["finish_reason"] == "stop"


async def test_a_closing_tag_needs_no_line_of_its_own() -> None:
    closed = "<tool_call>\n<function=say>\n<parameter=text>\nParis</parameter>\n</function>\n</tool_call>"
    reply = await replied("qwen3-coder", closed, tools=TOOLS)
    assert [call["args"] for call in reply.tool_calls] == [{"text": "Paris"}]


@pytest.mark.parametrize("format_name", FORMATS)
async def test_whatever_the_budget_no_call_is_lost_in_silence(format_name: str) -> None:
    """A reply that met its bound between two calls says so, since nobody knows whether there is another."""
    wanted: Any = [("add", {"a": 1, "b": 2}), ("now", {}), ("add", {"a": 3, "b": 4})]
    seen = set()
    for budget in range(20, 260, 9):
        reply, _ = await called(format_name, "think", wanted, answer_budget=budget)
        calls = [(call["name"], call["args"]) for call in reply.tool_calls]
        assert calls == wanted[: len(calls)]
        whole = calls == wanted and not reply.invalid_tool_calls
        assert (reply.response_metadata["finish_reason"] == "tool_calls") <= whole
        assert ("tokens" in reply.response_metadata["specreason"]) <= whole
        seen.add(len(calls))
    assert seen == {0, 1, 2, 3}


async def test_a_reply_of_too_many_calls_is_cut() -> None:
    reply, _ = await called("hermes", "think", [("now", {})] * 40, answer_budget=2200)
    assert (len(reply.tool_calls), reply.response_metadata["finish_reason"]) == (32, "length")


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize(
    ("schema", "args"),
    [
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"x": 1, "y": 2}),
        ({"type": "object", "additionalProperties": True}, {"x": "1"}),
        ({"type": "object", "patternProperties": {"^x": {"type": "integer"}}}, {"x": 1}),
        ({"type": "object", "anyOf": [{"properties": {"a": {"type": "string"}}, "required": ["a"]}]}, {"a": "1"}),
        ({"type": "object"}, {}),
        ({"type": "object", "properties": {}, "additionalProperties": False}, {}),
        ({"$defs": {"A": {"type": "object", "properties": {"k": {"type": "integer"}}}}, "$ref": "#/$defs/A"}, {"k": 1}),
    ],
)
async def test_arguments_that_no_schema_names_are_written_all_the_same(
    format_name: str, schema: dict[str, Any], args: dict[str, Any]
) -> None:
    head, middle, tail = (spelled := builtin_formats()[format_name]).pieces
    text = spelled.spelled([("f", args)])
    if not schema.get("properties") and args and "$ref" not in schema:  # as JSON, also where tags are the rule
        text = f"{spelled.before}{spelled.mark}{head}f{middle}{json.dumps(args)}{tail}{spelled.behind}"
    reply = await replied(format_name, text, tools=[tool(schema)])
    assert [call["args"] for call in reply.tool_calls] == [args]
    assert not reply.invalid_tool_calls


@pytest.mark.parametrize(
    ("part", "bare", "value"),
    [
        ({"type": "string"}, "null", "null"),
        ({"type": ["string", "null"]}, "null", None),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "a\nb", "a\nb"),
        ({"$ref": "#/$defs/Colour"}, "green", "green"),
        ({"type": "string", "enum": ["a", None]}, "a", "a"),
        ({"$ref": "#/definitions/Old"}, "7", 7),
        ({"type": "array", "items": {"$ref": "#/$defs/Colour"}}, '["red"]', ["red"]),
        ({"type": "integer"}, "3", 3),
    ],
)
async def test_tagged_values_are_bare_where_they_are_texts(part: dict[str, Any], bare: str, value: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"k": part},
        "required": ["k"],
        "$defs": {"Colour": {"type": "string", "enum": ["red", "green"]}},
        "definitions": {"Old": {"type": "integer"}},
    }
    text = f"<tool_call>\n<function=f>\n<parameter=k>\n{bare}\n</parameter>\n</function>\n</tool_call>"
    reply = await replied("qwen3-coder", text, tools=[tool(schema)])
    assert [call["args"] for call in reply.tool_calls] == [{"k": value}], reply.invalid_tool_calls


async def test_a_run_that_ended_with_a_call_and_may_call_no_more_answers() -> None:
    call = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    script = Script([*STEPS, call], answer="Twelve.", cue="Final answer:\n")
    async with scripted_pair(script, script) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(tools=TOOLS, judge="paper"))
        stopped = graph.compile(checkpointer=InMemorySaver(), interrupt_before=["finalize"])
        thread: Any = {"configurable": {"thread_id": "t"}}
        assert (await stopped.ainvoke(QUESTION, thread))["specreason_ended"] == "call"
        state = await stopped.ainvoke(None, thread, context=Settings(tool_choice="none"))
    assert reply_of(state).text == "Twelve."
    assert reply_of(state).tool_calls == []


@pytest.mark.parametrize("format_name", FORMATS)
async def test_half_a_mark_is_no_answer(format_name: str) -> None:
    for budget in range(3, 24):
        reply, _ = await called(format_name, "think", [("now", {})], answer_budget=budget)
        assert reply.content in ("", "Wait", "Wait."), "never a part of what opens a call"
