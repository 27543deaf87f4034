"""Threads of several agents: what other models left in them, and a planner before an agent with tools."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from specreason_graph import create_specreason, specreason_node

from .scripted import ENGINES, LOOP, TOOLS, acting, calls_of, price, replies, served

THREAD: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 200}
CALL = {"name": "weather", "args": {"of": "Rome"}, "id": "1"}
BEFORE: dict[str, list[AnyMessage]] = {
    "a call that was answered": [
        AIMessage("", tool_calls=[CALL]),
        ToolMessage("sunny", tool_call_id="1"),
        AIMessage("It is sunny."),
    ],
    "calls side by side": [
        AIMessage("I look.", tool_calls=[CALL, {**CALL, "id": "2"}]),
        ToolMessage("sunny", tool_call_id="1"),
        ToolMessage([{"type": "text", "text": "cold"}], tool_call_id="2"),
        AIMessage("It is sunny and cold."),
    ],
    "a thinking block": [
        AIMessage([{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "It is sunny."}])
    ],
    "a refusal block": [AIMessage([{"type": "refusal", "refusal": "No."}, {"type": "text", "text": "I won't."}])],
    "blocks of a call, as Anthropic's": [
        AIMessage(
            [{"type": "text", "text": "I look."}, {"type": "tool_use", "id": "1", "name": "weather", "input": {}}],
            tool_calls=[CALL],
        ),
        ToolMessage("sunny", tool_call_id="1"),
        AIMessage("It is sunny."),
    ],
    "a call that was cut": [
        AIMessage(
            "",
            invalid_tool_calls=[
                {"name": "weather", "args": '{"of', "id": "1", "error": "cut", "type": "invalid_tool_call"}
            ],
        ),
        AIMessage("It is sunny."),
    ],
    "names, and a system message in between": [
        AIMessage("It is sunny.", name="meteorologist"),
        SystemMessage("Be brief."),
    ],
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("tools", [False, True])
async def test_what_other_models_left_is_taken(before: str, tools: bool) -> None:
    given: Any = [HumanMessage("How is the weather in Rome?"), *BEFORE[before], ("user", "What do 7 engines cost?")]
    script = LOOP if tools else acting("I do not know.")
    async with served(script) as (model, _):
        agent: Any = create_agent(model, TOOLS if tools else [])
        state = await agent.ainvoke({"messages": given})
    assert state["messages"][-1].text == ("Seven engines cost 37800." if tools else "I do not know.")


class Other(GenericFakeChatModel):
    """A model of another maker."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


async def test_another_model_and_ours_take_turns_in_a_thread() -> None:
    calls = [AIMessage("", tool_calls=[{**CALL, "name": "unit_price", "args": {"item": "wagon"}}]), AIMessage("1200.")]
    saver = InMemorySaver()
    async with served(LOOP) as (model, _):
        theirs: Any = create_agent(Other(messages=iter(calls)), TOOLS, checkpointer=saver)
        await theirs.ainvoke({"messages": [("user", "And a wagon?")]}, THREAD)
        state: Any = await create_agent(model, TOOLS, checkpointer=saver).ainvoke(ENGINES, THREAD)
    assert calls_of(state) == [price("wagon"), price("engine"), ("product", {"a": 5400, "b": 7})]
    assert state["messages"][-1].text == "Seven engines cost 37800."


@pytest.mark.parametrize("ours", [False, True])
async def test_a_planner_before_an_agent_with_tools_plans_each_turn(ours: bool) -> None:
    """The node in its default form; the agent's own model may be ours or another's."""
    async with served(acting("First look up, then multiply.")) as (planner, _), served(LOOP) as (model, _):

        async def theirs(state: MessagesState) -> dict[str, Any]:
            done = isinstance(state["messages"][-1], ToolMessage)
            call = {"name": "unit_price", "args": {"item": "engine"}, "id": str(len(state["messages"]))}
            return {"messages": [AIMessage("Done.") if done else AIMessage("", tool_calls=[call])]}

        async def own(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await model.bind_tools(TOOLS).ainvoke(state["messages"])]}

        builder = StateGraph(MessagesState)
        builder.add_node("plan", specreason_node(create_specreason(pair=planner.pair).compile()))
        builder.add_node("work", own if ours else theirs)
        builder.add_node("tools", ToolNode(TOOLS))
        builder.add_edge(START, "plan").add_edge("tools", "work")
        # A plan is a reply: the question is put again, so that the agent has something to answer.
        builder.add_node("ask", lambda state: {"messages": [HumanMessage("Do that.")]})
        builder.add_edge("plan", "ask").add_edge("ask", "work")
        builder.add_conditional_edges("work", tools_condition)
        agent = builder.compile(checkpointer=InMemorySaver())
        for turn in (1, 2, 3):
            state: Any = await agent.ainvoke(ENGINES, THREAD)
            plans = [reply for reply in replies(state) if reply.text.startswith("First look up")]
            assert len(plans) == turn
    assert state["messages"][-1].text == ("Seven engines cost 37800." if ours else "Done.")
