"""Agents on the embedded pair: two real models call tools and use what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from specreason_graph import ChatSpecReason, Pair, Settings, create_specreason
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.weights import pull
from specreason_graph.use.background import wait_for

from .scripted import TOOLS, calls_of, ids_of, replies

pytestmark = [pytest.mark.real_models, pytest.mark.timeout(300)]

SHORT = Settings(reasoning_budget=128, step_tokens=64, answer_budget=128)
QUESTION: Any = {"messages": [("user", "Look up what one engine costs, and multiply it by 7. What do 7 engines cost?")]}


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with embedded_pair(pull()) as config:
        pair = Pair(config)
        yield pair
        wait_for(pair.aclose())


@pytest.fixture
def model(pair: Pair) -> ChatSpecReason:
    return ChatSpecReason(pair=pair, settings=SHORT)


def test_an_agent_solves_a_task_of_two_tools(model: ChatSpecReason) -> None:
    agent = create_agent(model, TOOLS, checkpointer=InMemorySaver())
    state: Any = agent.invoke(QUESTION, {"configurable": {"thread_id": "1"}})
    assert calls_of(state)[0] == ("unit_price", {"item": "engine"})
    assert calls_of(state)[1][0] == "product"
    assert sorted(calls_of(state)[1][1].values()) == [7, 5400]
    assert "37800" in state["messages"][-1].text.replace(",", "")
    assert len(set(ids_of(state))) == len(ids_of(state))
    assert all(not reply.invalid_tool_calls for reply in replies(state))


async def test_the_graph_is_the_model_of_a_loop(pair: Pair) -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("model", create_specreason(pair=pair, settings=SHORT.overridden({"tools": TOOLS})).compile())
    builder.add_node("tools", ToolNode(TOOLS))
    builder.add_edge(START, "model").add_edge("tools", "model")
    builder.add_conditional_edges("model", tools_condition)
    state: Any = await builder.compile().ainvoke(QUESTION, {"recursion_limit": 200})
    assert ("unit_price", {"item": "engine"}) in calls_of(state)
    assert state["messages"][-1].text


def test_a_tool_that_has_to_be_called_is(model: ChatSpecReason) -> None:
    reply = model.bind_tools(TOOLS, tool_choice="product").invoke("Hello!")
    assert {call["name"] for call in reply.tool_calls} == {"product"}
    for call in reply.tool_calls:
        assert all(isinstance(value, int) for value in call["args"].values())
