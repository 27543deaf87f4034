"""`create_agent` of LangChain: whole tool loops, with the chat model as it comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ToolErrorMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import ConfigError, Settings

from .scripted import ENGINES, LOOP, TOOLS, Call, acting, calls_of, ids_of, price, replies, served

DONE = "Seven engines cost 37800."


async def test_a_whole_loop() -> None:
    async with served(LOOP) as (model, _):
        state: Any = await create_agent(model, TOOLS).ainvoke(ENGINES)
    kinds = [type(message) for message in state["messages"]]
    assert kinds == [HumanMessage, AIMessage, ToolMessage, AIMessage, ToolMessage, AIMessage]
    assert calls_of(state) == [price("engine"), ("product", {"a": 5400, "b": 7})]
    assert [message.text for message in state["messages"] if isinstance(message, ToolMessage)] == ["5400", "37800"]
    assert state["messages"][-1].text == DONE


async def test_it_reasons_before_each_turn() -> None:
    async with served(LOOP) as (model, _):
        state: Any = await create_agent(model, TOOLS).ainvoke(ENGINES)
    reasoned = [reply.additional_kwargs["reasoning_content"] for reply in replies(state)]
    assert reasoned == [f"Let us see. This is turn {turn}." for turn in (1, 2, 3)]
    told = [reply.response_metadata for reply in replies(state)]
    assert [it["finish_reason"] for it in told] == ["tool_calls", "tool_calls", "stop"]
    assert all(it["specreason"]["steps"] == 1 for it in told)


async def test_calls_side_by_side() -> None:
    both = acting([price("engine"), price("wagon")], "They cost 6600.")
    async with served(both) as (model, _):
        state: Any = await create_agent(model, TOOLS).ainvoke(ENGINES)
    assert calls_of(state) == [price("engine"), price("wagon")]
    assert [message.text for message in state["messages"][2:4]] == ["5400", "1200"]
    assert len(set(ids_of(state))) == 2
    assert state["messages"][-1].text == "They cost 6600."


async def test_a_sync_agent() -> None:
    """Sync agents wait in another thread; the servers are in this test's loop."""
    async with served(LOOP) as (model, _):
        agent = create_agent(model, TOOLS)
        state: Any = await asyncio.to_thread(agent.invoke, ENGINES)
    assert state["messages"][-1].text == DONE


async def test_a_tools_error_is_told_and_the_loop_goes_on() -> None:
    script = acting([price("boiler")], [price("engine")], "An engine costs 5400.")
    async with served(script) as (model, _):
        agent = create_agent(model, TOOLS, middleware=[ToolErrorMiddleware(lambda error, request: str(error))])
        state: Any = await agent.ainvoke(ENGINES)
    failed = state["messages"][2]
    assert (failed.status, "no boiler" in failed.text) == ("error", True)
    assert state["messages"][-1].text == "An engine costs 5400."


async def test_arguments_that_the_tool_does_not_take_can_not_be_written() -> None:
    """The schema holds from the call's marker on: a name for a number is not said at all."""
    wrong = acting([Call("product", {"a": "five", "b": 7})], "So be it.")
    async with served(wrong) as (model, _):
        state: Any = await create_agent(model, TOOLS).ainvoke(ENGINES)
    [(name, args)] = calls_of(state)
    assert name == "product"
    assert all(isinstance(value, int) for value in args.values())


async def test_ids_are_unique_over_a_thread() -> None:
    """Also where the same question is asked again, with the same answer."""
    thread: Any = {"configurable": {"thread_id": "1"}}
    async with served(LOOP) as (model, _):
        agent = create_agent(model, TOOLS, checkpointer=InMemorySaver())
        for _turn in range(3):
            state: Any = await agent.ainvoke(ENGINES, thread)
    assert len(ids_of(state)) == len(set(ids_of(state))) == 6


async def test_settings_of_the_model_hold_in_the_agent() -> None:
    async with served(LOOP, settings=Settings(turn_reasoning_budget=0)) as (model, _):
        state: Any = await create_agent(model, TOOLS).ainvoke(ENGINES)
    assert [reply.response_metadata["specreason"]["steps"] for reply in replies(state)] == [0, 0, 0]
    assert calls_of(state) == [price("engine"), ("product", {"a": 5400, "b": 7})]


async def test_a_system_prompt_and_the_tools_are_told_to_both_models() -> None:
    async with served(LOOP) as (model, servers):
        await create_agent(model, TOOLS, system_prompt="You sell trains.").ainvoke(ENGINES)
        for server in (servers.base, servers.draft):
            first = server.model.tokenizer.spell(server.completions[0].prompts[0]).decode()
            assert "You sell trains." in first
            assert '"unit_price"' in first


async def test_a_call_that_was_cut_is_not_executed() -> None:
    long = acting([Call("unit_price", {"item": "engine " * 40})], "Done.")
    async with served(long, settings=Settings(answer_budget=24)) as (model, _):
        state: Any = await create_agent(model, TOOLS).ainvoke(ENGINES)
    assert calls_of(state) == []
    [invalid] = replies(state)[-1].invalid_tool_calls
    assert invalid["name"] == "unit_price"
    assert invalid["error"]
    assert not any(isinstance(message, ToolMessage) for message in state["messages"])


async def test_two_tools_of_one_name_are_refused_in_a_line() -> None:
    other = {"type": "function", "function": {"name": "unit_price", "description": "Another.", "parameters": {}}}
    async with served(LOOP) as (model, _):
        with pytest.raises(ConfigError, match="tools"):
            await model.bind_tools([*TOOLS, other]).ainvoke("?")


@pytest.mark.parametrize("budget", [None, 0])
async def test_the_cached_prefix_of_both_models_holds_over_ten_tool_turns(budget: int | None) -> None:
    """What a request has that is not cached does not grow with the thread: a result, a step, the judge's question."""
    script = acting(*([Call("product", {"a": turn, "b": 7})] for turn in range(10)), DONE)
    async with served(script, settings=Settings(turn_reasoning_budget=budget)) as (model, servers):
        state: Any = await create_agent(model, TOOLS).ainvoke(ENGINES)
    assert len(calls_of(state)) == 10
    for server in (servers.base, *([] if budget == 0 else [servers.draft])):
        asked = [(len(record.prompts[0]), record.cached_tokens) for record in server.completions]
        most = max(prompt - cached for prompt, cached in asked[1:15])
        assert max(prompt for prompt, _ in asked) > asked[0][0] + 800
        assert max(prompt - cached for prompt, cached in asked[1:]) <= most + 16
