"""What a request says, and what becomes of it in the run."""

from __future__ import annotations

from typing import Any

import pytest

from specreason_graph.contract.settings import Settings
from specreason_graph.testing import Script
from specreason_graph.use.gateway.ceilings import Ceiling
from specreason_graph.use.gateway.request import ChatRequest

from .served import BASE, DRAFT, QUESTION, STEPS, asking, served

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"legs": {"type": "integer"}}, "required": ["legs"]}


KEPT: dict[str, Any] = {"type": "function", "function": {"name": "legs", "description": "", "parameters": SCHEMA}}
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "legs", "parameters": SCHEMA, "strict": True}}


def settings(**body: Any) -> dict[str, Any]:
    """What is set of a run, beside the name of its pair."""
    chosen = ChatRequest.model_validate(asking(**body)).settings(Settings(), "default", 1000, Ceiling())
    return chosen.model_dump(exclude_unset=True, exclude={"pair"})


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {}),
        ({"max_tokens": 300}, {"answer_budget": 300}),
        ({"max_tokens": 300, "max_completion_tokens": 400}, {"answer_budget": 400}),
        ({"temperature": 0, "top_p": 0.9, "seed": 7}, {"temperature": 0, "top_p": 0.9, "seed": 7}),
        ({"stop": "\n"}, {"answer_stop": ("\n",)}),
        ({"stop": ["a", None, "b", "a"]}, {"answer_stop": ("a", "b")}),
        (
            {"stop": None, "temperature": None, "tools": None, "logprobs": False, "tools_": [1], "functions": []},
            {},
        ),
        ({"tools": [], "user": "me", "top_k": 5, "presence_penalty": 1, "reasoning_effort": None}, {}),
        ({"tools": [TOOL]}, {"tools": (KEPT,)}),
        ({"tools": [TOOL], "tool_choice": "required"}, {"tools": (KEPT,), "tool_choice": "required"}),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "legs"}}},
            {"tools": (KEPT,), "tool_choice": "legs"},
        ),
        ({"tool_choice": "none", "parallel_tool_calls": False}, {"tool_choice": "none", "parallel_tool_calls": False}),
        ({"reasoning_effort": "none"}, {"turn_reasoning_budget": 0}),
        ({"reasoning_effort": "minimal"}, {"reasoning_budget": 512}),
        ({"reasoning_effort": "low"}, {"reasoning_budget": 2048}),
        ({"reasoning_effort": "medium"}, {"reasoning_budget": 8192}),
        ({"reasoning_effort": "high"}, {"reasoning_budget": 16384}),
        ({"reasoning_effort": "low", "specreason": {"reasoning_budget": 9}}, {"reasoning_budget": 9}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"answer_schema": {"type": "object"}}),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "strict": True, "schema": SCHEMA},
                }
            },
            {"answer_schema": SCHEMA},
        ),
        ({"specreason": {"threshold": 5, "hedge": False}}, {"threshold": 5, "hedge": False}),
        ({"max_tokens": 300, "specreason": {"answer_budget": 2000}}, {"answer_budget": 2000}),
    ],
)
def test_fields_become_settings_and_what_is_unknown_is_ignored(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert settings(**body) == expected


def test_max_tokens_of_a_whole_context_leaves_room_to_reason() -> None:
    """Guards harnesses, which send what the model's context holds."""
    assert settings(max_tokens=32_768) == {"answer_budget": 1000}


def test_a_request_comes_over_the_settings_that_the_gateway_was_started_with() -> None:
    defaults = Settings(threshold=5, temperature=0.5, first_steps=2)
    asked = ChatRequest.model_validate(asking(temperature=0, specreason={"threshold": 8}))
    chosen = asked.settings(defaults, "other", 1000, Ceiling())
    assert (chosen.temperature, chosen.threshold, chosen.first_steps, chosen.pair) == (0, 8, 2, "other")


def test_an_effort_is_a_share_of_the_budgets_that_the_gateway_was_started_with() -> None:
    defaults = Settings(reasoning_budget=1000, turn_reasoning_budget=3000)
    low = ChatRequest.model_validate(asking(reasoning_effort="low")).settings(defaults, "default", 1000, Ceiling())
    assert (low.reasoning_budget, low.turn_reasoning_budget) == (250, 750)
    none = ChatRequest.model_validate(asking(reasoning_effort="none")).settings(defaults, "default", 1000, Ceiling())
    assert (none.reasoning_budget, none.turn_reasoning_budget) == (1000, 0)


async def test_max_tokens_cuts_the_answer_and_not_the_reasoning() -> None:
    async with served() as it, it.client as client:
        reply = await client.chat.completions.create(model="specreason", messages=QUESTION, max_completion_tokens=3)
    [choice] = reply.choices
    assert choice.finish_reason == "length"
    assert choice.message.content
    assert "There are 12 legs.".startswith(choice.message.content)
    assert len((choice.message.model_extra or {})["reasoning_content"]) > 30


async def test_a_stop_ends_the_answer_and_may_stand_in_the_reasoning() -> None:
    async with served() as it, it.client as client:
        reply = await client.chat.completions.create(model="specreason", messages=QUESTION, stop=[" legs", "never"])
    [choice] = reply.choices
    assert (choice.message.content, choice.finish_reason) == ("There are 12", "stop")
    assert " legs" in (choice.message.model_extra or {})["reasoning_content"]


async def test_a_schema_is_for_the_answer_alone() -> None:
    base = Script(STEPS, answer='{"legs": 12}', scores=[9, 3, 9])
    async with served(base) as it, it.client as client:
        reply = await client.chat.completions.create(
            model="specreason",
            messages=QUESTION,
            response_format={"type": "json_schema", "json_schema": {"name": "legs", "schema": SCHEMA}},
        )
        held = [record.body.get("structured_outputs") for record in it.servers.base.completions]
    assert reply.choices[0].message.content == '{"legs": 12}'
    assert held[-1] == {"json": SCHEMA}
    assert not any(held[:-1])


async def test_sampling_reaches_the_models_and_choices_differ_in_their_seeds() -> None:
    async with served() as it, it.client as client:
        reply = await client.chat.completions.create(
            model="specreason", messages=QUESTION, temperature=0.7, top_p=0.8, seed=3, n=2
        )
        bodies = [record.body for record in it.servers.draft.completions]
        one = await client.chat.completions.create(model="specreason", messages=QUESTION, temperature=0.7, seed=4)
        again = [record.body["seed"] for record in it.servers.draft.completions[len(bodies) :]]
    assert [choice.index for choice in reply.choices] == [0, 1]
    assert {choice.message.content for choice in reply.choices} == {"There are 12 legs."}
    assert {(body["temperature"], body["top_p"]) for body in bodies} == {(0.7, 0.8)}
    assert reply.usage is not None
    assert one.usage is not None
    assert reply.usage.prompt_tokens > 1.5 * one.usage.prompt_tokens
    assert len({body["seed"] for body in bodies}) > len(set(again))
    assert set(again) <= {body["seed"] for body in bodies}  # a choice is the run that its own seed gives


async def test_streamed_choices_come_side_by_side_each_of_them_whole() -> None:
    async with served() as it, it.client as client:
        stream = await client.chat.completions.create(model="specreason", messages=QUESTION, n=2, stream=True)
        choices = [chunk.choices[0] async for chunk in stream]
    for index in (0, 1):
        own = [choice for choice in choices if choice.index == index]
        assert "".join(choice.delta.content or "" for choice in own) == "There are 12 legs."
        assert [choice.delta.role for choice in own if choice.delta.role] == ["assistant"]
        assert own[-1].finish_reason == "stop"


async def test_system_messages_parts_and_earlier_turns_reach_the_models() -> None:
    conversation: Any = [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "How many legs"}, {"type": "text", "text": " has 1?"}],
        },
        {"role": "assistant", "content": "4", "reasoning_content": "never read again"},
        {"role": "user", "content": "And 3 cows?"},
    ]
    async with served() as it, it.client as client:
        reply = await client.chat.completions.create(model="specreason", messages=conversation)
        rendered = next(record.body for record in it.servers.base.requests if len(record.body.get("messages", ())) == 4)
    assert reply.choices[0].message.content == "There are 12 legs."
    roles = [(message["role"], message["content"]) for message in rendered["messages"]]
    assert roles[:3] == [("system", "Be brief."), ("user", "How many legs has 1?"), ("assistant", "4")]
    assert "And 3 cows?" in roles[3][1]


async def test_settings_of_one_request_are_its_own() -> None:
    async with served(BASE, DRAFT) as it, it.client as client:
        sources = []
        for extra in ({"threshold": 0}, {"first_steps": 500}, {}):
            reply = await client.chat.completions.create(
                model="specreason", messages=QUESTION, extra_body={"specreason": extra}
            )
            sources.append((reply.choices[0].model_extra or {})["specreason"]["acceptance_rate"])
    assert sources == [1.0, None, pytest.approx(2 / 3)]
