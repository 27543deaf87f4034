"""langgraph-swarm: agents that hand over to each other, all of them with the chat model, or one with the graph."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver
from langgraph_swarm import create_handoff_tool, create_swarm

from specreason_graph import create_specreason

from .scripted import ENGINES, LOOP, TOOLS, Call, acting, calls_of, ids_of, price, served

DONE = "Seven engines cost 37800."
THREAD: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 100}
TO_CLERK, TO_DOOR = create_handoff_tool(agent_name="clerk"), create_handoff_tool(agent_name="door")
HAND_OVER = acting([Call("transfer_to_clerk", {})])
FOUND = replace(LOOP, then=[LOOP, *LOOP.then])
"""A handoff is a tool's result: the clerk begins behind one in the first turn, and behind none in the second, where it
looks up twice."""


async def test_one_hands_over_and_the_other_stays() -> None:
    async with served(HAND_OVER) as (first, _), served(FOUND) as (second, _):
        door = create_agent(first, [TO_CLERK], name="door")
        clerk = create_agent(second, [*TOOLS, TO_DOOR], name="clerk")
        swarm = create_swarm([door, clerk], default_active_agent="door").compile(checkpointer=InMemorySaver())
        state: Any = await swarm.ainvoke(ENGINES, THREAD)
        assert state["active_agent"] == "clerk"
        assert calls_of(state) == [("transfer_to_clerk", {}), price("engine"), ("product", {"a": 5400, "b": 7})]
        assert state["messages"][-1].text == DONE
        again: Any = await swarm.ainvoke(ENGINES, THREAD)
    assert again["messages"][-1].text == DONE
    assert len(set(ids_of(again))) == len(ids_of(again)) == 6


async def test_the_graph_is_one_of_them() -> None:
    async with served(HAND_OVER) as (first, _), served(acting(DONE)) as (second, _):
        door = create_agent(first, [TO_CLERK], name="door")
        clerk: Any = create_specreason(pair=second.pair).compile(name="clerk")
        swarm = create_swarm([door, clerk], default_active_agent="door").compile()
        state: Any = await swarm.ainvoke(ENGINES, {"recursion_limit": 100})
    assert state["messages"][-1].text == DONE
