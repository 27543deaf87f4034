"""What an agent's streams give of the model inside: messages, updates, values, and calls token by token."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessageChunk, ToolMessage

from .scripted import ENGINES, LOOP, TOOLS, calls_of, price, replies, served

DONE = "Seven engines cost 37800."


async def streamed(mode: Any, **values: Any) -> list[Any]:
    async with served(LOOP) as (model, _):
        agent = create_agent(model, TOOLS)
        return [part async for part in agent.astream(ENGINES, stream_mode=mode, **values)]


async def chunks() -> list[AIMessageChunk]:
    parts = await streamed("messages")
    return [message for message, _ in parts if isinstance(message, AIMessageChunk)]


async def test_messages_add_up_to_the_replies() -> None:
    by_id: dict[str | None, AIMessageChunk] = {}
    for chunk in await chunks():
        by_id[chunk.id] = by_id[chunk.id] + chunk if chunk.id in by_id else chunk
    first, second, last = by_id.values()
    assert [(call["name"], call["args"]) for call in first.tool_calls] == [price("engine")]
    assert [(call["name"], call["args"]) for call in second.tool_calls] == [("product", {"a": 5400, "b": 7})]
    assert last.text == DONE
    assert all(message.additional_kwargs["reasoning_content"] for message in (first, second, last))


async def test_arguments_come_by_token() -> None:
    told = [piece for chunk in await chunks() for piece in chunk.tool_call_chunks]
    assert [piece["name"] for piece in told if piece["name"]] == ["unit_price", "product"]
    first = [piece["args"] or "" for piece in told[: next(at for at, it in enumerate(told) if it["name"] == "product")]]
    assert json.loads("".join(first)) == {"item": "engine"}
    assert sum(map(bool, first)) > 2


async def test_reasoning_is_before_calls() -> None:
    kinds = []
    for chunk in await chunks():
        kind = "call" if chunk.tool_call_chunks else "reasoning" if chunk.additional_kwargs else "text"
        if chunk.tool_call_chunks or chunk.additional_kwargs.get("reasoning_content") or chunk.text:
            kinds.append(kind)
    assert [kind for at, kind in enumerate(kinds) if at == 0 or kinds[at - 1] != kind] == [
        *("reasoning", "call"),
        *("reasoning", "call"),
        *("reasoning", "text"),
    ]


async def test_updates_name_their_node() -> None:
    parts = await streamed("updates")
    assert [name for part in parts for name in part] == ["model", "tools", "model", "tools", "model"]


async def test_the_last_values_are_the_whole() -> None:
    *_, state = await streamed("values")
    assert calls_of(state) == [price("engine"), ("product", {"a": 5400, "b": 7})]
    assert state["messages"][-1].text == DONE


@pytest.mark.parametrize("subgraphs", [False, True])
async def test_nothing_comes_twice_and_nothing_private_shows(subgraphs: bool) -> None:
    parts = await streamed(["messages", "updates", "custom"], subgraphs=subgraphs, version="v2")
    assert {part["ns"] for part in parts} == {()}
    texts = [
        part["data"][0].text
        for part in parts
        if part["type"] == "messages" and not isinstance(part["data"][0], ToolMessage)
    ]
    assert "".join(texts) == DONE


async def test_what_it_cost_adds_up_once() -> None:
    """Told to callbacks by each model's own name, and of each reply in the state."""
    counted = UsageMetadataCallbackHandler()
    async with served(LOOP) as (model, _):
        state: Any = await create_agent(model, TOOLS).ainvoke(ENGINES, {"callbacks": [counted]})
    assert counted.usage_metadata.keys() == {"scripted-base", "scripted-draft"}
    told = sum(used["total_tokens"] for used in counted.usage_metadata.values())
    assert told == sum(reply.usage_metadata["total_tokens"] for reply in replies(state) if reply.usage_metadata)
