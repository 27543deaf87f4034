"""What every client must do, whatever engine is behind it: tools in the prompt, and text that is held to a form.

Written for any greedy model: nothing here knows a script.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from specreason_graph.endpoint.protocol import Form

from .contract import Engine, asked, collected

QUESTION = {"role": "user", "content": "What is the weather in Oslo?"}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": told,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "maxLength": 20}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
    for name, told in (("get", "Gets a thing."), ("get_weather", "The weather of a city, naïve but right."))
]
TREE: dict[str, Any] = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "n": {"type": "integer", "minimum": 0, "maximum": 99},
                "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
            },
            "required": ["n", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}


def call(name: str, city: str) -> dict[str, Any]:
    return {"id": f"of-{city}", "type": "function", "function": {"name": name, "arguments": json.dumps({"city": city})}}


def result(city: str, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"of-{city}", "name": "get_weather", "content": content}


async def shown(engine: Engine, *messages: dict[str, Any], tools: Any = TOOLS) -> str:
    return await engine.endpoint.decode(await engine.endpoint.render(messages, {}, tools))


async def test_the_model_is_told_of_tools(engine: Engine) -> None:
    """Guards agents: a tool that is not in the prompt is never called."""
    told = await shown(engine, {"role": "system", "content": "Be brief."}, QUESTION)
    assert all(text in told for text in ("get_weather", "naïve but right", '"maxLength": 20', "Be brief.", "Oslo"))
    assert told.index("get_weather") < told.index("Oslo")
    assert "get_weather" not in await shown(engine, QUESTION, tools=())
    assert "get_weather" in await shown(engine, QUESTION)


async def test_calls_and_results_are_in_the_prompt(engine: Engine) -> None:
    """Guards the second turn of an agent: what was called and what came back, in their order."""
    asks = {"role": "assistant", "content": "I look.", "tool_calls": [call("get_weather", c) for c in ("Oslo", "Køge")]}
    turn = await shown(engine, QUESTION, asks, result("Oslo", "It is raining."), result("Køge", "12 °C"))
    _, _, behind = turn.rpartition("I look.")
    places = [behind.index(text) for text in ("Oslo", "Køge", "It is raining.", "12 °C", "assistant")]
    assert places == sorted(places)
    assert behind.count('"name": "get_weather"') == 2
    assert '{"city": "Oslo"}' in behind


async def test_a_call_without_text_is_a_turn(engine: Engine) -> None:
    """Guards models that call at once."""
    asks = {"role": "assistant", "content": "", "tool_calls": [call("get", "Oslo")]}
    turn = await shown(engine, QUESTION, asks, result("Oslo", "Dry."))
    assert turn.count('"name": "get"') > (await shown(engine, QUESTION)).count('"name": "get"')


async def test_reasoning_of_a_turn_reaches_the_template(engine: Engine) -> None:
    """Guards what a model thought before it called: it is rendered where the template keeps it."""
    if engine.close is None:
        pytest.skip("this template knows no reasoning")
    asks = {"role": "assistant", "content": "", "reasoning": "It may rain.", "tool_calls": [call("get", "Oslo")]}
    turn = await shown(engine, QUESTION, asks, result("Oslo", "Dry."))
    assert turn.index("It may rain.") < turn.index(engine.close) < turn.index("Dry.")
    later = await shown(engine, QUESTION, asks, result("Oslo", "Dry."), {"role": "user", "content": "And now?"})
    assert "It may rain." not in later


@pytest.mark.parametrize(
    "text", ["moo", 'say "moo"', "C:\\moo\\n", "moo\nand moo", "[moo]", "naïve 你好 🙂", "<tool_call>", "\tmoo\x7f'{}|"]
)
async def test_a_choice_is_spelled_as_it_is(engine: Engine, text: str) -> None:
    """Guards names and enums with any letter: a grammar has an alphabet of its own."""
    written = await collected(engine.endpoint, await asked(engine), form=Form(choices=[text]))
    assert (written.text, written.end.why) == (text, "end_of_turn")


async def test_the_text_is_one_of_the_choices(engine: Engine) -> None:
    """Guards names of tools, of which one may begin like another."""
    choices = ["get", "get_weather", "search"]
    written = await collected(engine.endpoint, await asked(engine), form=Form(choices=choices))
    assert written.text in choices
    assert written.end.why == "end_of_turn"
    assert written.end.closing is not None


async def test_a_schema_that_names_itself_is_kept_to(engine: Engine) -> None:
    """Guards arguments with trees in them."""
    question = "Write a linked list of the numbers 1 and 2 as JSON: n is the number, next is null or another node."
    written = await collected(engine.endpoint, await asked(engine, question), form=Form(TREE), max_tokens=400)
    assert written.end.why == "end_of_turn"
    node = json.loads(written.text)
    while node is not None:
        assert set(node) == {"n", "next"}
        assert isinstance(node["n"], int)
        node = node["next"]


async def test_a_call_is_written_in_parts(engine: Engine) -> None:
    """Guards calls: markup by the client, the name by choice, the arguments by schema, each behind the other."""
    endpoint = engine.endpoint
    prompt = await endpoint.render([QUESTION], {}, TOOLS)
    prompt += (await endpoint.encode('<tool_call>\n{"name": "', control=True)).ids
    name = await collected(endpoint, prompt, form=Form(choices=["get", "get_weather"]))
    prompt += name.ids + (await endpoint.encode('", "arguments": ')).ids
    schema = next(tool["function"]["parameters"] for tool in TOOLS if tool["function"]["name"] == name.text)  # type: ignore[index]
    arguments = await collected(endpoint, prompt, form=Form(schema))
    assert set(json.loads(arguments.text)) == {"city"}
    assert arguments.end.why == "end_of_turn"
    prompt += arguments.ids + (await endpoint.encode("}\n</tool_call>", control=True)).ids
    assert (await collected(endpoint, prompt, max_tokens=40)).end.why in ("end_of_turn", "length")


def test_a_form_is_a_schema_or_choices() -> None:
    """Guards against one that holds only where the server looks at it first."""
    with pytest.raises(ValueError, match="not both"):
        Form({"type": "object"}, choices=["a"])
