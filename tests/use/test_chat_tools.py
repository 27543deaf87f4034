"""Tools of the chat model: reason freely, then answer or call, whole or streamed token by token."""

from __future__ import annotations

from typing import Any

import pytest
from chat import DRAFT, QUESTION, STEPS, offline, served, streamed
from langchain_core.messages import AIMessage, BaseMessageChunk, HumanMessage, ToolMessage, message_chunk_to_message
from langchain_core.tools import tool
from pydantic import BaseModel

from specreason_graph import ConfigError, Settings
from specreason_graph.testing import Fault, Script


@tool
def price(of: str, pieces: int = 1) -> int:
    """The price of something."""
    return len(of) * pieces


class Stock(BaseModel):
    """How much of something there is."""

    of: str


class Legs(BaseModel):
    legs: int


def call(name: str, arguments: str) -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'


MILK = call("price", '{"of": "milk", "pieces": 3}')
STOCK = call("Stock", '{"of": "milk"}')
BOTH = f"Let me see.\n{MILK}\n{STOCK}"
TOOLS: list[Any] = [price, Stock]
ONE = {"name": "price", "args": {"of": "milk", "pieces": 3}, "type": "tool_call"}
OTHER = {"name": "Stock", "args": {"of": "milk"}, "type": "tool_call"}


def asked(reply: AIMessage) -> list[dict[str, Any]]:
    return [{key: value for key, value in made.items() if key != "id"} for made in reply.tool_calls]


async def test_calls_are_langchains() -> None:
    async with served(Script(STEPS, answer=BOTH), Script(STEPS)) as (model, servers):
        reply = await model.bind_tools(TOOLS).ainvoke(QUESTION)
    assert asked(reply) == [ONE, OTHER]
    assert reply.text == "Let me see."
    assert reply.additional_kwargs["reasoning_content"] == "\n\n".join(STEPS)
    assert reply.response_metadata["finish_reason"] == "tool_calls"
    assert [block["type"] for block in reply.content_blocks] == ["reasoning", "text", "tool_call", "tool_call"]
    assert len({made["id"] for made in reply.tool_calls}) == 2
    for server in (servers.base, servers.draft):
        told = [record.body["tools"] for record in server.requests if record.body.get("tools")]
        assert ["price", "Stock"] in [[it["function"]["name"] for it in tools] for tools in told]


async def test_tools_of_a_call_or_of_the_settings_are_the_same() -> None:
    async with served(Script(STEPS, answer=MILK)) as (model, _):
        replies = [
            await model.bind_tools([price]).ainvoke(QUESTION),
            await model.ainvoke(QUESTION, tools=[price], tool_choice="any", parallel_tool_calls=False),
            await model.model_copy(update={"settings": Settings(tools=(price,))}).ainvoke(QUESTION),
        ]
        none = await model.bind_tools([price], tool_choice="none").ainvoke(QUESTION)
    assert [asked(reply) for reply in replies] == [[ONE]] * 3
    assert none.tool_calls == []


@pytest.mark.parametrize(
    ("choice", "parallel", "calls"),
    [
        (None, None, [ONE, OTHER]),
        ("any", None, [ONE, OTHER]),
        (True, False, [ONE]),
        ({"type": "function", "function": {"name": "price"}}, False, [ONE]),
    ],
)
async def test_a_choice_narrows_what_may_be_called(choice: Any, parallel: bool | None, calls: list[Any]) -> None:
    async with served(Script(STEPS, answer=f"{MILK}\n{STOCK}")) as (model, _):
        bound = model.bind_tools(TOOLS, tool_choice=choice, parallel_tool_calls=parallel, strict=True)
        assert asked(await bound.ainvoke(QUESTION)) == calls


async def test_without_tools_there_is_an_answer() -> None:
    async with served() as (model, _):
        reply = await model.bind_tools([]).ainvoke(QUESTION)
    assert (reply.text, reply.tool_calls) == ("There are 12 legs.", [])


async def test_with_a_schema_beside_tools_the_reply_is_calls_or_an_answer_in_it() -> None:
    script = Script(STEPS, answer=MILK, then=[Script(STEPS, answer='{"legs": 12}')])
    history: list[Any] = [HumanMessage(QUESTION)]
    async with served(script, DRAFT) as (model, _):
        bound = model.bind_tools([price], response_format=Legs)
        history.append(await bound.ainvoke(history))
        history.append(ToolMessage("4", tool_call_id=history[-1].tool_calls[0]["id"]))
        last = await bound.ainvoke(history)
    assert asked(history[1]) == [ONE]
    assert (last.text, last.tool_calls) == ('{"legs": 12}', [])


@pytest.mark.parametrize("answer", [MILK, BOTH, f"{MILK}\n{MILK}", "There are 12 legs.", call("price", "{}")])
async def test_a_stream_of_calls_joins_to_the_reply(answer: str) -> None:
    settings = Settings(hedge=False, look_ahead=False, tools=tuple(TOOLS))
    async with served(Script(STEPS, answer=answer), settings=settings) as (model, _):
        reply = await model.ainvoke(QUESTION)
        whole, chunks = await streamed(model)
    assert asked(whole) == asked(reply)
    assert whole.text == reply.text
    assert whole.content_blocks[0] == reply.content_blocks[0]
    assert whole.response_metadata["finish_reason"] == reply.response_metadata["finish_reason"]
    assert whole.invalid_tool_calls == reply.invalid_tool_calls == []
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    assert len(pieces) > 3 * len(reply.tool_calls) or not pieces
    assert [piece["name"] for piece in pieces if piece["name"]] == [made["name"] for made in reply.tool_calls]
    assert {piece["index"] for piece in pieces} == set(range(len(reply.tool_calls)))


@pytest.mark.parametrize("tokens", range(1, 60))
async def test_no_cut_call_passes_as_whole(tokens: int) -> None:
    """Not in a stream that was joined either: LangChain's merging closes what is open."""
    async with served(Script(["Buy."], answer=MILK), Script(["Buy."])) as (model, _):
        bound = model.bind_tools([price, Stock], answer_budget=tokens)
        reply = await bound.ainvoke(QUESTION)
        whole, chunks = await streamed(bound)
        events = await bound.astream_events(QUESTION, version="v3")
        protocol: Any = await events.output
    message: Any = message_chunk_to_message(whole)
    cut = reply.response_metadata["finish_reason"] == "length"
    for joined in (whole, message, protocol):
        assert asked(joined) == asked(reply) in ([], [ONE])
        assert [wrong["name"] for wrong in joined.invalid_tool_calls] == [w["name"] for w in reply.invalid_tool_calls]
    for wrong, told in zip(reply.invalid_tool_calls, whole.invalid_tool_calls, strict=True):
        assert cut
        assert "answer_budget" in str(wrong["error"])
        assert str(told["args"]).startswith(str(wrong["args"]))
        assert str(told["args"]).endswith(f"({wrong['error']})")
    assert isinstance(chunks[-1], BaseMessageChunk)


async def test_a_call_that_is_not_of_its_schema_is_invalid_in_a_stream_too() -> None:
    async with served(Script(STEPS, answer=call("price", '{"of": 7}'))) as (model, servers):
        for _ in range(2):
            servers.base.fail(Fault("ignores_structured_outputs"), times=None)
        bound = model.bind_tools([price])
        reply = await bound.ainvoke(QUESTION)
        whole, _ = await streamed(bound)
    assert reply.tool_calls == whole.tool_calls == []
    assert [wrong["name"] for wrong in reply.invalid_tool_calls] == ["price"]
    assert [wrong["name"] for wrong in whole.invalid_tool_calls] == ["price"]


@pytest.mark.parametrize("answer", [MILK, BOTH])
async def test_langchains_blocks_hold_calls_too(answer: str) -> None:
    async with served(Script(STEPS, answer=answer), output_version="v1") as (model, _):
        bound = model.bind_tools(TOOLS)
        reply = await bound.ainvoke(QUESTION)
        whole, _ = await streamed(bound)
    for message in (reply, whole):
        kinds = [block["type"] for block in message.content_blocks]
        assert kinds == [block["type"] for block in reply.content_blocks]
        assert kinds.count("tool_call") == len(reply.tool_calls) > 0


def test_tools_are_checked_when_they_are_bound() -> None:
    other = {"name": "price", "description": "Another.", "input_schema": {"type": "object"}}
    with pytest.raises(ConfigError, match="two have one name"):
        offline().bind_tools([price, other])
    assert len(offline().bind_tools([Stock, Stock.model_json_schema()]).kwargs["tools"]) == 1  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match=r"^tools: a list of tools, not StructuredTool$"):
        offline().bind_tools(price)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="thresholt"):
        offline().bind_tools([price], thresholt=3)
