"""What the compiled loop adds to LangGraph's: a limit of its own, and a context that is checked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from deepagents import CompiledSubAgent, create_deep_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import START, MessagesState, StateGraph
from langgraph_supervisor import create_supervisor
from pydantic import BaseModel
from typing_extensions import TypedDict

from specreason_graph import ConfigError, Pair, Settings, create_specreason
from specreason_graph.loop.compiled import Compiled
from specreason_graph.testing import Script, scripted_pair

STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 21)]
QUESTION: Any = {"messages": [("user", "How much is it?")]}
LOW: RunnableConfig = {"recursion_limit": 26}
"""A parent's; twenty steps take more than forty super-steps."""


@pytest_asyncio.fixture
async def graph() -> AsyncIterator[Compiled]:
    base = Script(STEPS, answer="24", scores=[9])
    async with scripted_pair(base, Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        yield create_specreason(pair=pair, settings=Settings(judge="paper")).compile()


def around(node: Any, context: Any = None) -> Any:
    parent = StateGraph(MessagesState, context_schema=context)
    parent.add_node("reason", node)
    parent.add_edge(START, "reason")
    return parent


# Limits


@pytest.mark.parametrize("given", [LOW, {"recursion_limit": 25}, None])
async def test_a_parents_limit_is_the_parents(graph: Compiled, given: Any) -> None:
    assert (await around(graph).compile().ainvoke(QUESTION, given))["messages"][-1].text == "24"


async def test_a_parents_limit_still_binds_the_parent(graph: Compiled) -> None:
    parent = around(graph)
    parent.add_node("again", lambda state: {"messages": [("user", "And now?")]})
    parent.add_edge("reason", "again")
    parent.add_edge("again", "reason")
    with pytest.raises(GraphRecursionError, match="limit of 2 "):
        await parent.compile().ainvoke(QUESTION, {"recursion_limit": 2})


async def test_neither_a_chain_nor_a_function_nor_a_callers_config_cuts_a_run(graph: Compiled) -> None:
    asked: RunnableLambda[str, Any] = RunnableLambda(lambda text: {"messages": [("user", text)]})
    chain = asked | graph
    assert (await chain.ainvoke("q"))["messages"][-1].text == "24"
    assert (await chain.ainvoke("q", LOW))["messages"][-1].text == "24"

    async def by_hand(state: Any, config: RunnableConfig) -> Any:
        result = await graph.ainvoke(state, config)
        return {"messages": result["messages"][-1:]}

    for outer in (RunnableLambda(by_hand), around(by_hand).compile()):
        assert (await outer.ainvoke(QUESTION, LOW))["messages"][-1].text == "24"


class Caller(GenericFakeChatModel):
    """Calls one tool, then ends."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """They are known."""
        return self


def calls(name: str, **arguments: str) -> Caller:
    call: Any = {"name": name, "args": arguments, "id": "1"}
    return Caller(messages=iter([AIMessage("", tool_calls=[call]), AIMessage("I went on.")]))


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")  # the supervisor's own
async def test_an_agents_limit_does_not_cut_a_subagent_or_a_worker(graph: Compiled) -> None:
    thinker = graph.copy({"name": "thinker"})
    subagent = CompiledSubAgent(name="thinker", description="thinks", runnable=thinker)
    asks = calls("task", description="How much is it?", subagent_type="thinker")
    worker: Any = thinker
    supervisor: Any = create_supervisor([worker], model=calls("transfer_to_thinker")).compile()
    for agent in (create_deep_agent(model=asks, subagents=[subagent]), supervisor):
        messages = (await agent.ainvoke(QUESTION, {"recursion_limit": 25}))["messages"]
        assert "24" in [message.text for message in messages]
        assert messages[-1].text == "I went on."


async def test_events_of_langchain_come_with_no_limit_of_its_own(graph: Compiled) -> None:
    """`astream_events` gives all that it calls a limit of 25."""
    names = [event["name"] async for event in graph.astream_events(QUESTION, version="v2")]
    assert names.count("judge") > 13
    assert "finalize" in names


async def test_a_limit_of_its_own_holds(graph: Compiled) -> None:
    with pytest.raises(GraphRecursionError, match="limit of 26"):
        await graph.ainvoke(QUESTION, LOW)
    with pytest.raises(GraphRecursionError, match="limit of 9"):
        await around(graph.with_config(recursion_limit=9)).compile().ainvoke(QUESTION)
    assert (await around(graph.with_config(recursion_limit=99)).compile().ainvoke(QUESTION, LOW))["messages"]


async def test_all_else_of_a_compiled_graph_is_there(graph: Compiled) -> None:
    parent = around(graph).compile(checkpointer=InMemorySaver(), interrupt_before=["reason"])
    thread: Any = {"configurable": {"thread_id": "t"}, **LOW}
    await parent.ainvoke(QUESTION, thread)
    namespaces = set()
    async for part in parent.astream(None, thread, stream_mode="updates", subgraphs=True, version="v2"):
        namespaces.add(tuple(name.partition(":")[0] for name in part["ns"]))
    assert namespaces == {(), ("reason",)}
    assert (await parent.aget_state(thread)).values["messages"][-1].text == "24"
    assert {"reason:judge", "reason:finalize"} <= parent.get_graph(xray=True).nodes.keys()
    assert "judge -. &nbsp;accept&nbsp; .-> draft_step" in graph.get_graph().draw_mermaid()
    assert isinstance(graph.with_config(tags=["x"]), Compiled)
    assert isinstance(graph.copy({"name": "other"}), Compiled)


async def test_without_async_it_says_what_to_call(graph: Compiled) -> None:
    for run in (graph, around(graph).compile()):
        with pytest.raises(TypeError, match="async API"):
            run.invoke(QUESTION)


# Settings


class Told(TypedDict, total=False):
    """A parent's context, with names of its own."""

    policy: str
    deadline: str
    temperature: float
    pair: str
    threshold: float
    specreason: Any


@dataclass
class Held:
    """A parent's context."""

    threshold: float = 3
    specreason: Settings | dict[str, Any] | None = None


class Modelled(BaseModel):
    """A parent's context."""

    max_steps: str = "none"
    specreason: Settings | None = None


class Ours(Settings):
    """The loop's settings, and more."""

    tenant: str = "nobody"


async def steps_under(parent: Any, context: Any) -> int:
    """How many the loop kept below such a parent."""
    kept = 0
    async for part in parent.compile().astream(
        QUESTION, context=context, stream_mode="updates", subgraphs=True, version="v2"
    ):
        for update in part["data"].values():
            kept += len(update.get("specreason_steps") or ()) if isinstance(update.get("specreason_steps"), list) else 0
    return kept


@pytest.mark.parametrize(
    ("schema", "context", "steps"),
    [
        (Told, {"policy": "refunds", "deadline": "2026-12-01", "temperature": 1.3, "pair": "EURUSD"}, 20),
        (Told, {"policy": "refunds", "specreason": {"max_steps": 2}}, 2),
        (Told, {"specreason": Settings(max_steps=2)}, 2),
        (Held, Held(3), 20),
        (Held, Held(specreason={"max_steps": 2}), 2),
        (Held, {"specreason": Settings(max_steps=2)}, 2),
        (Modelled, Modelled(), 20),
        (Modelled, {"max_steps": "many", "specreason": {"max_steps": 2}}, 2),
        (Ours, Ours(tenant="ada", max_steps=2), 2),
        (None, {"max_steps": 2}, 20),
        (None, {"specreason": {"max_steps": 2}}, 2),
    ],
)
async def test_a_parents_context_says_it_in_one_place(graph: Compiled, schema: Any, context: Any, steps: int) -> None:
    assert await steps_under(around(graph, schema), context) == steps


@pytest.mark.parametrize("context", [{"specreason": {"max_stepz": 2}}, {"specreason": {"max_steps": 0}}])
async def test_what_is_wrong_in_that_place_is_told(graph: Compiled, context: Any) -> None:
    with pytest.raises(ConfigError, match=r"^max_step"):
        await steps_under(around(graph, Told), context)


@pytest.mark.parametrize(
    "context",
    [Settings(max_steps=2), {"max_steps": 2}, Ours(max_steps=2, tenant="ada"), Held(specreason={"max_steps": 2})],
)
async def test_its_own_context_is_all_settings(graph: Compiled, context: Any) -> None:
    assert len((await graph.ainvoke(QUESTION, context=context))["specreason_steps"]) == 2


@pytest.mark.parametrize(
    ("context", "names"),
    [
        ({"treshold": 8}, "^treshold"),
        ({"threshold": 8, "user": "ada"}, "^user"),
        ({"threshold": 80}, "^threshold"),
        (Held(), "^context: give Settings"),
        (3, "^context: give Settings"),
    ],
)
async def test_what_is_wrong_in_its_own_context_is_told(graph: Compiled, context: Any, names: str) -> None:
    with pytest.raises(ConfigError, match=names):
        await graph.ainvoke(QUESTION, context=context)


async def test_a_function_around_it_may_give_it_a_context(graph: Compiled) -> None:
    async def by_hand(state: Any) -> Any:
        result = await graph.ainvoke(state, context=Settings(max_steps=2))
        return {"messages": [("ai", str(len(result["specreason_steps"])))]}

    state = await around(by_hand, Told).compile().ainvoke(QUESTION, context={"specreason": {"max_steps": 5}})
    assert state["messages"][-1].text == "2"
