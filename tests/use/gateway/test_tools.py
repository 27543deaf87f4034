"""Tools through the gateway, as OpenAI's own client knows them: a loop, streams, its helpers, and what was cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import AsyncOpenAI, LengthFinishReasonError, pydantic_function_tool
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel, Field

from specreason_graph import Settings
from specreason_graph.testing import Script

from .served import PRICE, SHOPPER, SHOPPING, Served, asking, calls, served

REASONING = "The price is not known.\n\nI look it up."
SHOPS: Any = {"model": "specreason", "messages": SHOPPING, "tools": [PRICE]}
SPEAKER = Script(["It has to be looked up."], answer=f"I ask for it.\n{calls(('price', {'of': 'milk'}))}")
TWICE = Script(["Both prices are needed."], answer=calls(("price", {"of": "milk"}), ("price", {"of": "bread"})))
LONG = "a bottle of fresh milk from the farm behind the hill"
CHATTY = Script(["It has to be looked up."], answer=calls(("price", {"of": LONG})))
"""Whose arguments are cut at twenty tokens."""
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"euros": {"type": "integer"}}, "required": ["euros"]}


class price(BaseModel):
    """What something costs, in euros."""

    of: str = Field(description="the thing")


class Cost(BaseModel):
    euros: int


def extra(of: Any, name: str) -> Any:
    """What OpenAI's classes do not know."""
    return (of.model_extra or {}).get(name)


async def chunks(client: AsyncOpenAI, **request: Any) -> list[ChatCompletionChunk]:
    stream = await client.chat.completions.create(stream=True, **request)
    return [chunk async for chunk in stream]


def called(chunks: list[ChatCompletionChunk]) -> list[Any]:
    """The deltas of calls."""
    return [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]


def rendered(it: Served) -> list[dict[str, Any]]:
    """The conversation as base's template got it at last, tools and all."""
    return [
        record.body for record in it.servers.base.requests if record.path == "/tokenize" and record.body.get("tools")
    ]


async def test_a_whole_loop_with_the_reply_sent_back_as_it_came() -> None:
    async with served(SHOPPER, SHOPPER) as it, it.client as client:
        first = await client.chat.completions.create(**SHOPS)
        [choice] = first.choices
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
        assert extra(choice.message, "reasoning") == extra(choice.message, "reasoning_content") == REASONING
        assert choice.message.tool_calls is not None
        [call] = choice.message.tool_calls
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("price", {"of": "milk"})
        assert "tokens" not in extra(choice, "specreason")
        result = {"role": "tool", "tool_call_id": call.id, "content": "2"}
        second = await client.chat.completions.create(**{**SHOPS, "messages": [*SHOPPING, choice.message, result]})
        told = rendered(it)[-1]["messages"]
    [choice] = second.choices
    assert (choice.finish_reason, choice.message.content) == ("stop", "They cost 6 euros.")
    assert choice.message.tool_calls is None
    assert [message["role"] for message in told[:3]] == ["user", "assistant", "tool"]
    assert told[1]["tool_calls"][0]["function"]["name"] == "price"
    assert told[2]["content"] == "2"


async def test_streamed_calls_join_to_those_that_are_not_streamed() -> None:
    async with served(TWICE, TWICE) as it, it.client as client:
        whole = await client.chat.completions.create(**SHOPS)
        pieces = await chunks(client, **SHOPS)
    [choice] = whole.choices
    assert [call.function.arguments for call in choice.message.tool_calls or () if call.type == "function"] == [
        '{"of": "milk"}',
        '{"of": "bread"}',
    ]
    deltas = called(pieces)
    firsts = [delta for delta in deltas if delta.id]
    assert [(it.index, it.type, it.function.name, it.function.arguments) for it in firsts] == [
        (0, "function", "price", ""),
        (1, "function", "price", ""),
    ]
    assert len({delta.id for delta in firsts}) == 2
    for index, thing in enumerate(["milk", "bread"]):
        own = [delta for delta in deltas if delta.index == index]
        assert own[0].id
        assert len(own) > 1
        assert json.loads("".join(delta.function.arguments for delta in own)) == {"of": thing}
    assert pieces[-1].choices[0].finish_reason == choice.finish_reason == "tool_calls"


async def test_what_is_said_before_a_call_is_the_content() -> None:
    async with served(SPEAKER, SPEAKER) as it, it.client as client:
        whole = await client.chat.completions.create(**SHOPS)
        pieces = await chunks(client, **SHOPS)
    assert whole.choices[0].message.content == "I ask for it."
    assert len(whole.choices[0].message.tool_calls or ()) == 1
    assert "".join(chunk.choices[0].delta.content or "" for chunk in pieces) == "I ask for it."


async def test_raw_shapes_of_calls_are_those_of_openai() -> None:
    async with served(SHOPPER, SHOPPER) as it, it.http as http:
        whole = await http.post("/v1/chat/completions", json=asking(messages=SHOPPING, tools=[PRICE]))
        stream = await http.post("/v1/chat/completions", json=asking(messages=SHOPPING, tools=[PRICE], stream=True))
    ChatCompletion.model_validate(whole.json(), strict=True, extra="allow")
    for event in stream.text.split("\n\n")[:-2]:
        ChatCompletionChunk.model_validate(json.loads(event.removeprefix("data: ")), strict=True, extra="allow")


async def test_one_call_at_a_time_if_the_client_says_so() -> None:
    async with served(TWICE, TWICE) as it, it.client as client:
        reply = await client.chat.completions.create(**SHOPS, parallel_tool_calls=False)
    assert len(reply.choices[0].message.tool_calls or ()) == 1


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "price"}}], ids=["required", "named"]
)
async def test_a_call_can_be_demanded(choice: Any) -> None:
    talker = Script(["I know it."], answer="They cost 6 euros.")
    async with served(talker, talker) as it, it.client as client:
        reply = await client.chat.completions.create(**SHOPS, tool_choice=choice)
    assert reply.choices[0].finish_reason == "tool_calls"
    [call] = reply.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "price"


async def test_none_is_an_answer() -> None:
    talker = Script(["I know it."], answer="They cost 6 euros.")
    async with served(talker, talker) as it, it.client as client:
        reply = await client.chat.completions.create(**SHOPS, tool_choice="none")
    assert (reply.choices[0].finish_reason, reply.choices[0].message.content) == ("stop", "They cost 6 euros.")


async def test_a_call_that_was_cut_is_told_beside_the_calls_and_never_executed() -> None:
    async with served(CHATTY, CHATTY) as it, it.client as client:
        whole = await client.chat.completions.create(**SHOPS, max_completion_tokens=20)
        pieces = await chunks(client, **SHOPS, max_completion_tokens=20)
    [choice] = whole.choices
    assert (choice.finish_reason, choice.message.tool_calls) == ("length", None)
    [unmade] = extra(choice, "specreason")["invalid_tool_calls"]
    assert unmade["name"] == "price"
    assert unmade["error"]
    assert pieces[-1].choices[0].finish_reason == "length"
    told = "".join(delta.function.arguments for delta in called(pieces))
    with pytest.raises(ValueError):
        json.loads(told)


async def test_a_schema_of_the_answer_leaves_calls_alone() -> None:
    teller = Script(["Look it up."], answer=SHOPPER.answer, then=[Script(["3 * 2 = 6."], answer='{"euros": 6}')])
    form: Any = {"type": "json_schema", "json_schema": {"name": "cost", "schema": SCHEMA}}
    async with served(teller, teller) as it, it.client as client:
        first = await client.chat.completions.create(**SHOPS, response_format=form)
        message = first.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "2"}
        second = await client.chat.completions.create(
            **{**SHOPS, "messages": [*SHOPPING, message, result]}, response_format=form
        )
    assert first.choices[0].finish_reason == "tool_calls"
    assert second.choices[0].message.content == '{"euros": 6}'


async def test_the_helpers_of_the_client_parse_calls_and_answers() -> None:
    """They demand strict tools, raise on what was cut, and put the deltas together by their index."""
    strict: Any = {**SHOPS, "tools": [pydantic_function_tool(price)]}
    async with served(SHOPPER, SHOPPER) as it, it.client as client:
        parsed = await client.chat.completions.parse(**strict)
        async with client.chat.completions.stream(**strict) as stream:
            events = [event.type async for event in stream]
            final = await stream.get_final_completion()
    for reply in (parsed, final):
        [call] = reply.choices[0].message.tool_calls or []
        assert call.function.parsed_arguments == price(of="milk")
    assert "tool_calls.function.arguments.delta" in events
    assert events.count("tool_calls.function.arguments.done") == 1
    teller = Script(["3 * 2 = 6."], answer='{"euros": 6}')
    async with served(teller, teller) as it, it.client as client:
        answer = await client.chat.completions.parse(**strict, response_format=Cost)
    assert answer.choices[0].message.parsed == Cost(euros=6)
    async with served(CHATTY, CHATTY) as it, it.client as client:
        with pytest.raises(LengthFinishReasonError):
            await client.chat.completions.parse(**strict, max_completion_tokens=20)
        with pytest.raises(LengthFinishReasonError):
            async with client.chat.completions.stream(**strict, max_completion_tokens=20) as stream:
                await stream.get_final_completion()


async def test_reasoning_of_this_turn_is_read_back() -> None:
    """Guards the models' view within a turn, where the preset keeps it."""
    async with served(SHOPPER, SHOPPER, template="qwen3", settings=Settings(preset="qwen3")) as it, it.client as client:
        first = await client.chat.completions.create(**SHOPS)
        message = first.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "2"}
        await client.chat.completions.create(**{**SHOPS, "messages": [*SHOPPING, message, result]})
        told = rendered(it)[-1]["messages"]
    assert told[1]["reasoning"] == REASONING


async def test_a_budget_of_the_turn_counts_the_reasoning_that_is_sent_back() -> None:
    budget = {"specreason": {"turn_reasoning_budget": 20}}
    async with served(SHOPPER, SHOPPER) as it, it.client as client:
        first = await client.chat.completions.create(**SHOPS, extra_body=budget)
        message = first.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "2"}
        again: Any = {**SHOPS, "messages": [*SHOPPING, message, result]}
        second = await client.chat.completions.create(**again, extra_body=budget)
        free = await client.chat.completions.create(**again)
    figures = [extra(reply.choices[0], "specreason") for reply in (first, second, free)]
    assert [(figure["ended"], figure["steps"]) for figure in figures][1:] == [("budget", 0), ("finished", 2)]
    assert figures[0]["reasoning_tokens"] >= 14
    assert second.choices[0].message.content == "They cost 6 euros."


@pytest.mark.parametrize("stream", [False, True])
async def test_no_effort_goes_straight_to_the_call(stream: bool) -> None:
    async with served(SHOPPER, SHOPPER) as it, it.client as client:
        if stream:
            pieces = await chunks(client, **SHOPS, reasoning_effort="none")
            ending, reasoning = pieces[-1].choices[0], [extra(it.choices[0].delta, "reasoning") for it in pieces]
        else:
            reply = await client.chat.completions.create(**SHOPS, reasoning_effort="none")
            ending, reasoning = reply.choices[0], [extra(reply.choices[0].message, "reasoning")]
        assert not it.servers.draft.completions
    assert not any(reasoning)
    assert (ending.finish_reason, extra(ending, "specreason")["steps"]) == ("tool_calls", 0)


async def test_an_image_is_refused_only_where_it_has_to_be_looked_at() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    looked: Any = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    seen: Any = [*looked, {"role": "assistant", "content": "Milk."}, *SHOPPING]
    async with served(SHOPPER, SHOPPER) as it, it.http as http:
        refused = await http.post("/v1/chat/completions", json=asking(messages=looked))
        answered = await http.post("/v1/chat/completions", json=asking(messages=seen, tools=[PRICE]))
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")
    assert answered.json()["choices"][0]["finish_reason"] == "tool_calls"
