"""Agents' graphs with the loop inside, run on a checkpointer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.graph import START, MessagesState, StateGraph

from specreason_graph import Pair, Settings, create_specreason, specreason_node
from specreason_graph.testing import Script, scripted_pair

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
COWS, HENS = "How many legs have 3 cows?", "And 4 hens?"
Build = Callable[[Any, Any], Any]
"""From the uncompiled loop and a saver to a compiled graph."""


@dataclass
class Wish:
    """A value of an agent's own, of a class that a reader of its database need not have."""

    of: str


class Agent(MessagesState, total=False):
    """What an agent of somebody's holds."""

    wish: Wish
    plan: str | None


def alone(loop: Any, saver: Any) -> Any:
    return loop.compile(checkpointer=saver)


def subgraph(loop: Any, saver: Any) -> Any:
    """The compiled loop is a node."""
    agent = StateGraph(Agent)
    agent.add_node("wish", lambda state: {"wish": Wish("milk")})
    agent.add_node("reason", loop.compile())
    agent.add_edge(START, "wish").add_edge("wish", "reason")
    return agent.compile(checkpointer=saver)


def node(loop: Any, saver: Any) -> Any:
    agent = StateGraph(Agent)
    plan = specreason_node(loop.compile(), answer=lambda result: {"plan": result["specreason_answer"]})
    agent.add_node("plan", plan)
    agent.add_edge(START, "plan")
    return agent.compile(checkpointer=saver)


def deep(loop: Any, saver: Any) -> Any:
    """A subgraph of a subgraph."""
    team = StateGraph(Agent)
    team.add_node("team", node(loop, None))
    team.add_edge(START, "team")
    return team.compile(checkpointer=saver)


async def ask(saver: Any, build: Build, thread: str, *questions: str, **settings: Any) -> None:
    base = Script(STEPS, answer="12", scores=[9, 3, 9])
    async with scripted_pair(base, Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = build(create_specreason(pair=pair, settings=Settings(**settings)), saver)
        for question in questions:
            given: Any = {"messages": [HumanMessage(question)]}
            await graph.ainvoke(given, {"configurable": {"thread_id": thread}})
