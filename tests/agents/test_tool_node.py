"""LangGraph's `ToolNode` and `tools_condition`, with the chat model or the graph itself as the model's node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt

from specreason_graph import ChatSpecReason, Settings, create_specreason, specreason_node

from .scripted import ENGINES, LOOP, TOOLS, Call, acting, calls_of, ids_of, price, replies, served

DONE = "Seven engines cost 37800."
THREAD: Any = {"configurable": {"thread_id": "1"}}
FORMS = ("chat model", "graph", "node")


def looping(model: ChatSpecReason, form: str, tools: Sequence[Any] = TOOLS, **values: Any) -> Any:
    """An agent of three lines; the model's node is the chat model, our graph as it is, or our node around it."""
    graph = create_specreason(pair=model.pair, settings=model.settings.overridden({"tools": tools})).compile()
    forms: dict[str, Any] = {"chat model": of_chat_model(model, tools), "graph": graph, "node": specreason_node(graph)}
    builder = StateGraph(MessagesState)
    builder.add_node("model", forms[form])
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "model").add_edge("tools", "model")
    builder.add_conditional_edges("model", tools_condition)
    return builder.compile(**values)


def of_chat_model(model: ChatSpecReason, tools: Sequence[Any] = TOOLS) -> Any:
    bound = model.bind_tools(tools)

    async def node(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    return node


@pytest.mark.parametrize("form", FORMS)
async def test_a_whole_loop(form: str) -> None:
    async with served(LOOP) as (model, _):
        state = await looping(model, form).ainvoke(ENGINES, {"recursion_limit": 100})
    kinds = [type(message) for message in state["messages"]]
    assert kinds == [HumanMessage, AIMessage, ToolMessage, AIMessage, ToolMessage, AIMessage]
    assert calls_of(state) == [price("engine"), ("product", {"a": 5400, "b": 7})]
    assert state["messages"][-1].text == DONE
    assert all(reply.additional_kwargs["reasoning_content"] for reply in replies(state))
    assert len(set(ids_of(state))) == 2


@pytest.mark.parametrize("form", FORMS)
async def test_side_by_side(form: str) -> None:
    async with served(acting([price("engine"), price("wagon")], "6600.")) as (model, _):
        state = await looping(model, form).ainvoke(ENGINES)
    assert [message.text for message in state["messages"][2:]] == ["5400", "1200", "6600."]


@pytest.mark.parametrize("form", FORMS)
async def test_a_wait_before_the_tools(form: str, tmp_path: Any) -> None:
    """On a real saver, and with all of it built anew between the halves."""
    async with served(LOOP) as (model, _):
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "kept.db")) as saver:
            waiting = await looping(model, form, checkpointer=saver, interrupt_before=["tools"]).ainvoke(
                ENGINES, THREAD
            )
            asked = ids_of(waiting)
            assert calls_of(waiting) == [price("engine")]
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "kept.db")) as saver:
            again = looping(model, form, checkpointer=saver, interrupt_before=["tools"])
            assert ids_of((await again.aget_state(THREAD)).values) == asked
            waiting = await again.ainvoke(None, THREAD)
            assert ids_of(waiting)[:1] == asked
            state = await again.ainvoke(None, THREAD)
    assert state["messages"][-1].text == DONE
    assert len(set(ids_of(state))) == 2


@pytest.mark.parametrize("form", FORMS)
async def test_three_turns_of_a_thread(form: str) -> None:
    async with served(LOOP) as (model, _):
        agent = looping(model, form, checkpointer=InMemorySaver())
        for turn in (1, 2, 3):
            state = await agent.ainvoke(ENGINES, THREAD | {"recursion_limit": 100})
            assert len(state["messages"]) == 6 * turn
            assert state["messages"][-1].text == DONE
    assert len(set(ids_of(state))) == 6


@pytest.mark.parametrize("form", FORMS)
async def test_a_tools_error_is_told(form: str) -> None:
    async with served(acting([price("boiler")], "There is no boiler.")) as (model, _):
        builder = StateGraph(MessagesState)
        graph = create_specreason(pair=model.pair, settings=Settings(tools=TOOLS)).compile()
        builder.add_node("model", of_chat_model(model) if form == "chat model" else graph)
        builder.add_node("tools", ToolNode(TOOLS, handle_tool_errors=True))
        builder.add_edge(START, "model").add_edge("tools", "model")
        builder.add_conditional_edges("model", tools_condition)
        state: Any = await builder.compile().ainvoke(ENGINES)
    assert state["messages"][2].status == "error"
    assert state["messages"][-1].text == "There is no boiler."


@pytest.mark.parametrize("form", FORMS)
async def test_a_call_that_was_cut_ends_the_loop(form: str) -> None:
    script = acting([Call("unit_price", {"item": "engine " * 40})])
    async with served(script, settings=Settings(answer_budget=24)) as (model, _):
        state = await looping(model, form).ainvoke(ENGINES)
    assert calls_of(state) == []
    assert replies(state)[-1].invalid_tool_calls[0]["error"]


@pytest.mark.parametrize("form", FORMS)
async def test_a_tool_that_asks_a_person(form: str) -> None:
    """Two calls side by side: one waits, the other is not made again, and the reply stays as it was."""
    made: list[str] = []

    @tool
    def unit_price(item: str) -> str:
        """Ask what a part costs."""
        made.append(item)
        return str(interrupt(f"What does the {item} cost?")) if item == "engine" else "1200"

    async with served(acting([price("engine"), price("wagon")], "6600.")) as (model, _):
        agent = looping(model, form, [unit_price], checkpointer=InMemorySaver())
        waiting = await agent.ainvoke(ENGINES, THREAD)
        assert [asked.value for asked in waiting["__interrupt__"]] == ["What does the engine cost?"]
        state = await agent.ainvoke(Command(resume="5400"), THREAD)
    assert [message.text for message in state["messages"][2:]] == ["5400", "1200", "6600."]
    assert ids_of(state) == ids_of(waiting)
