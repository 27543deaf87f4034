"""langgraph-supervisor: the chat model as supervisor and as worker, and the compiled graph as a worker."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_supervisor import create_supervisor

from specreason_graph import Settings, create_specreason

from .scripted import ENGINES, LOOP, TOOLS, TURNS, Call, acting, calls_of, ids_of, price, served

pytestmark = pytest.mark.filterwarnings("ignore:create_react_agent has been moved")

DONE = "Seven engines cost 37800."
HAND_OVER = acting([Call("transfer_to_clerk", {})], "The clerk says 37800.")
THREAD: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 100}


FOUND = acting("", *TURNS)
"""A worker's script: what was handed over to it ends with a tool's result, so its first turn is never seen."""


class Boss(GenericFakeChatModel):
    """A supervisor of another maker."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def boss() -> Boss:
    call = {"name": "transfer_to_clerk", "args": {}, "id": "1"}
    return Boss(messages=iter([AIMessage("", tool_calls=[call]), AIMessage("The clerk says 37800.")]))


def clerk(model: Any, form: str) -> Any:
    """A worker named so."""
    if form == "graph":
        return create_specreason(pair=model.pair).compile(name="clerk")
    return create_agent(model, TOOLS if form == "agent with tools" else [], name="clerk")


@pytest.mark.parametrize("form", ["agent", "agent with tools", "graph"])
@pytest.mark.parametrize("mode", ["last_message", "full_history"])
async def test_ours_above_and_below(form: str, mode: Any) -> None:
    script = FOUND if form == "agent with tools" else acting(DONE)
    async with served(HAND_OVER) as (above, _), served(script) as (model, _):
        graph = create_supervisor([clerk(model, form)], model=above, output_mode=mode).compile()
        state: Any = await graph.ainvoke(ENGINES, {"recursion_limit": 100})
    assert calls_of(state)[0] == ("transfer_to_clerk", {})
    assert any(message.text == DONE for message in state["messages"])
    assert state["messages"][-1].text == "The clerk says 37800."


@pytest.mark.parametrize("form", ["agent", "agent with tools", "graph"])
@pytest.mark.parametrize("handoff", [False, True])
@pytest.mark.parametrize("mode", ["last_message", "full_history"])
async def test_ours_below_another_model(form: str, handoff: bool, mode: Any) -> None:
    script = acting(DONE) if form != "agent with tools" else FOUND if handoff else LOOP
    async with served(script) as (model, _):
        graph = create_supervisor(
            [clerk(model, form)], model=boss(), add_handoff_messages=handoff, output_mode=mode
        ).compile()
        state: Any = await graph.ainvoke(ENGINES, {"recursion_limit": 100})
    assert any(message.text == DONE for message in state["messages"])
    assert state["messages"][-1].text == "The clerk says 37800."


async def test_two_turns_of_a_thread() -> None:
    async with served(HAND_OVER) as (above, _), served(FOUND) as (model, _):
        builder = create_supervisor([clerk(model, "agent with tools")], model=above, output_mode="full_history")
        graph = builder.compile(checkpointer=InMemorySaver())
        for turn in (1, 2):
            state: Any = await graph.ainvoke(ENGINES, THREAD)
            assert calls_of(state).count(price("engine")) == turn
            assert state["messages"][-1].text == "The clerk says 37800."
    assert len(set(ids_of(state))) == len(ids_of(state))


async def test_a_supervisor_with_a_tool_of_its_own() -> None:
    async with served(acting([price("engine")], "5400.")) as (above, _), served(acting(DONE)) as (model, _):
        state: Any = (
            await create_supervisor([clerk(model, "agent")], model=above, tools=TOOLS).compile().ainvoke(ENGINES)
        )
    assert calls_of(state) == [price("engine")]
    assert state["messages"][-1].text == "5400."


async def test_the_graph_as_a_worker_reasons_with_settings_of_its_own() -> None:
    async with served(HAND_OVER) as (above, _), served(acting(DONE)) as (model, _):
        worker: Any = create_specreason(pair=model.pair, settings=Settings(max_steps=1)).compile(name="clerk")
        state: Any = await create_supervisor([worker], model=above).compile().ainvoke(ENGINES)
    [told] = [message for message in state["messages"] if message.text == DONE]
    assert isinstance(told, AIMessage)
    assert told.response_metadata["specreason"]["steps"] == 1
