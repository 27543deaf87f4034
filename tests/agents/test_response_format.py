"""`response_format` of `create_agent`: by the provider, by a tool, and as LangChain chooses."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import ToolMessage
from pydantic import BaseModel

from .scripted import ENGINES, TOOLS, Call, acting, calls_of, price, replies, served


class Cost(BaseModel):
    """What something costs."""

    thing: str
    euros: int


JSON = '{"thing": "engine", "euros": 5400}'
COST = Cost(thing="engine", euros=5400)
BY_TOOL = Call("Cost", {"thing": "engine", "euros": 5400})


@pytest.mark.parametrize("form", [ProviderStrategy(Cost), Cost])
@pytest.mark.parametrize("tools", [False, True])
async def test_by_the_provider(form: Any, tools: bool) -> None:
    """A bare schema is this way, too: the model's profile says that it can."""
    script = acting([price("engine")], JSON) if tools else acting(JSON)
    async with served(script) as (model, _):
        agent: Any = create_agent(model, TOOLS if tools else [], response_format=form)
        state = await agent.ainvoke(ENGINES)
    assert state["structured_response"] == COST
    assert calls_of(state) == ([price("engine")] if tools else [])
    assert all(reply.additional_kwargs["reasoning_content"] for reply in replies(state))


@pytest.mark.parametrize("tools", [False, True])
async def test_by_a_tool(tools: bool) -> None:
    script = acting([price("engine")], [BY_TOOL]) if tools else acting([BY_TOOL])
    async with served(script) as (model, _):
        agent: Any = create_agent(model, TOOLS if tools else [], response_format=ToolStrategy(Cost))
        state = await agent.ainvoke(ENGINES)
    assert state["structured_response"] == COST
    assert calls_of(state)[-1] == BY_TOOL


async def test_a_union_by_tools() -> None:
    class Unknown(BaseModel):
        """Nobody knows what it costs."""

        why: str

    script = acting([Call("Unknown", {"why": "no price"})])
    async with served(script) as (model, _):
        agent: Any = create_agent(model, [], response_format=ToolStrategy(Cost | Unknown))
        state = await agent.ainvoke(ENGINES)
    assert state["structured_response"] == Unknown(why="no price")


async def test_two_answers_by_a_tool_are_told_back_and_mended() -> None:
    script = acting([BY_TOOL, BY_TOOL], [BY_TOOL])
    async with served(script) as (model, _):
        agent: Any = create_agent(model, [], response_format=ToolStrategy(Cost))
        state = await agent.ainvoke(ENGINES)
    assert state["structured_response"] == COST
    assert sum(isinstance(message, ToolMessage) for message in state["messages"]) == 3


async def test_the_profile_says_what_is_supported() -> None:
    async with served(acting("?")) as (model, _):
        profile = model.profile or {}
    assert profile["structured_output"]
    assert profile["tool_calling"]
    assert profile["reasoning_output"]
    assert "image_inputs" not in profile, "only the servers know"
