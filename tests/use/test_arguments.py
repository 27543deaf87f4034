"""What LangChain's users write first: it works, or the one line says where it belongs."""

from __future__ import annotations

from typing import Any

import pytest
from chat import QUESTION, offline, served, streamed
from langchain_core.tools import tool

from specreason_graph import ConfigError, Settings
from specreason_graph.use.arguments import as_settings, choice_of


@tool
def price(of: str) -> int:
    """The price of something."""
    return len(of)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"threshold": 8}, r"^threshold: a setting: ChatSpecReason\(settings=Settings\(threshold=…\)\)$"),
        ({"tools": [price]}, r"^tools: a setting: "),
        ({"base_url": "http://x", "api_key": "k"}, r"^base_url: of a server[^\n]*BASE_URL[^\n]*; api_key: of a server"),
        ({"model": "x"}, r"EndpointConfig\(model=…\)[^\n]*SPECREASON_BASE_MODEL"),
        ({"timeout": 3}, r"EndpointConfig\(timeout=…\)[^\n]*SPECREASON_TIMEOUT$"),
        ({"max_retries": 2}, r"with_retry\(\)"),
        ({"max_completion_tokens": 5}, r"max_tokens is the answer's budget"),
        ({"reasoning_effort": "low"}, r"reasoning_budget"),
        ({"n": 2}, r"one reply"),
        ({"logprobs": True}, r"^logprobs: "),
        ({"top_k": 5}, r"temperature, top_p and seed"),
        ({"extra_body": {}}, r"as it is"),
        ({"draft": "x"}, r"PairConfig\(base=…, draft=…\)"),
        ({"wibble": 1}, r"^wibble: no setting; those of a run are the fields of Settings$"),
    ],
)
def test_what_the_model_does_not_have_is_told_with_its_place(values: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line) as error:
        offline(**values)
    assert "\n" not in str(error.value)


async def test_a_call_is_told_the_same() -> None:
    with pytest.raises(ConfigError, match=r"^thresholt: no setting; is threshold meant\?$"):
        await offline().ainvoke(QUESTION, thresholt=5)
    with pytest.raises(ConfigError, match=r"^base_url: of a server, which no call may choose"):
        offline().bind(base_url="http://x").invoke(QUESTION)
    with pytest.raises(ConfigError, match=r"^functions: an older word"):
        await streamed(offline(), functions=[])
    with pytest.raises(ConfigError, match="threshold"):
        await streamed(offline(), threshold=99)


@pytest.mark.parametrize(
    "call",
    [
        {"tools": []},
        {"tool_choice": "none"},
        {"tool_choice": "auto"},
        {"tool_choice": False},
        {"tool_choice": None, "tools": None, "stop": None},
        {"parallel_tool_calls": False},
        {"response_format": {"type": "text"}},
        {"strict": True},
    ],
)
async def test_words_that_change_nothing_are_taken(call: dict[str, Any]) -> None:
    async with served() as (model, _):
        reply = await model.ainvoke(QUESTION, **call)
        bound, _ = await streamed(model.bind(**call))
    assert reply.text == bound.text == "There are 12 legs."


async def test_one_text_may_stop_an_answer() -> None:
    async with served(stop=" 12") as (model, _):
        assert (await model.ainvoke(QUESTION)).text == "There are"
        assert (await model.ainvoke(QUESTION, stop=" are")).text == "There"


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (None, None),
        (False, None),
        ("auto", "auto"),
        ("none", "none"),
        ("any", "required"),
        ("required", "required"),
        (True, "required"),
        ("price", "price"),
        ({"type": "function", "function": {"name": "price"}}, "price"),
        ({"type": "function", "name": "price"}, "price"),
        ({"type": "tool", "name": "price"}, "price"),
        ({"type": "any"}, "required"),
        ({"type": "none"}, "none"),
    ],
)
def test_each_way_to_choose_a_tool(said: Any, means: str | None) -> None:
    assert choice_of(said) == means


@pytest.mark.parametrize("said", [7, ["price"], {"type": "allowed_tools"}, {"name": "price"}])
def test_what_is_no_choice_of_tools_is_told(said: Any) -> None:
    with pytest.raises(ConfigError, match=r"^tool_choice: [^\n]* is no choice; take one of auto, none, any"):
        offline().bind_tools([price], tool_choice=said)


def test_a_choice_among_other_tools_is_told() -> None:
    with pytest.raises(ConfigError, match=r"tool_choice: there is no tool 'prize'; take one of [^\n]*price$"):
        offline().bind_tools([price], tool_choice="prize")
    with pytest.raises(ConfigError, match=r"tool_choice: required, but there are no tools"):
        offline().bind_tools([], tool_choice="any")
    with pytest.raises(ConfigError, match=r"tools.0: 'web' is no tool"):
        offline().bind_tools(["web"])  # type: ignore[list-item]


def test_a_response_format_is_a_schema() -> None:
    schema = {"type": "object", "properties": {"legs": {"type": "integer"}}}
    given = {"type": "json_schema", "json_schema": {"name": "legs", "strict": True, "schema": schema}}
    assert as_settings({"response_format": given}) == {"answer_schema": {"title": "legs", **schema}}
    assert as_settings({"response_format": {"type": "json_object"}}) == {"answer_schema": {"type": "object"}}
    with pytest.raises(ConfigError, match=r"^response_format: [^\n]*"):
        as_settings({"response_format": {"type": "grammar"}})


def test_a_call_goes_before_the_model_and_the_model_before_its_settings() -> None:
    model = offline(temperature=0.3, max_tokens=7, settings=Settings(temperature=0.9, answer_budget=9, max_steps=3))
    chosen = model._chosen(None, {"max_tokens": 5, "seed": 1})
    assert (chosen.temperature, chosen.answer_budget, chosen.max_steps, chosen.seed) == (0.3, 5, 3, 1)
