"""The loop inside other graphs: their state, stream, checkpoints and recursion limit."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command
from typing_extensions import TypedDict

from specreason_graph import ConfigError, Pair, Settings, create_specreason, specreason_node, specreason_tool
from specreason_graph.testing import Script, scripted_pair

STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 13)]
BASE = Script(STEPS, answer="24", scores=[9, 6])
QUESTION: Any = {"messages": [("user", "How much is it?")]}


class Anyone(TypedDict):
    """A context of the parent's own."""

    user: str
    max_steps: int
    specreason: dict[str, Any]


class Task(TypedDict, total=False):
    """A parent without messages."""

    task: str
    plan: str | None


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    async with scripted_pair(BASE, Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        yield pair


def config(thread: str = "t") -> Any:
    return {"configurable": {"thread_id": thread}, "recursion_limit": 200}


def with_messages(pair: Pair, *, node: bool, saver: Any = None, settings: Settings | None = None) -> Any:
    graph = create_specreason(pair=pair, settings=settings).compile()
    parent = StateGraph(MessagesState)
    parent.add_node("reason", specreason_node(graph) if node else graph)
    parent.add_edge(START, "reason")
    return parent.compile(checkpointer=saver)


def with_a_task(pair: Pair, saver: Any = None, settings: Settings | None = None) -> Any:
    graph = create_specreason(pair=pair, settings=settings).compile()
    parent = StateGraph(Task)
    parent.add_node(
        "plan",
        specreason_node(
            graph,
            question=lambda state: f"Plan this: {state['task']}",
            answer=lambda result: {"plan": result["specreason_answer"]},
        ),
    )
    parent.add_edge(START, "plan")
    return parent.compile(checkpointer=saver)


@pytest.mark.parametrize("node", [False, True])
async def test_a_parent_with_messages_gets_one_message(pair: Pair, node: bool) -> None:
    state = await with_messages(pair, node=node).ainvoke(QUESTION, config())
    assert [type(message) for message in state["messages"]] == [HumanMessage, AIMessage]
    assert state["messages"][-1].text == "24"
    assert state.keys() == {"messages"}


async def test_a_parent_with_another_state_says_what_is_asked_and_what_becomes_of_it(pair: Pair) -> None:
    state = await with_a_task(pair).ainvoke({"task": "add"}, config())
    assert state == {"task": "add", "plan": "24"}


@pytest.mark.parametrize("node", [False, True])
async def test_a_chain_around_it_does_not_cut_it(pair: Pair, node: bool) -> None:
    """LangChain gives all that it calls a limit of 25 super-steps; twelve steps take more."""
    chain = RunnableLambda(lambda given: given) | with_messages(pair, node=node)
    assert (await chain.ainvoke(QUESTION))["messages"][-1].text == "24"


async def told(parent: Any, given: Any, *, subgraphs: bool) -> list[tuple[tuple[str, ...], str]]:
    parts = parent.astream(given, config(), stream_mode="custom", subgraphs=subgraphs, version="v2")
    return [(part["ns"], part["data"]["event"]) async for part in parts]


async def test_steps_are_in_the_parents_own_stream(pair: Pair) -> None:
    events = await told(with_messages(pair, node=True), QUESTION, subgraphs=False)
    assert {ns for ns, _ in events} == {()}
    assert sum(event in ("step_accepted", "step_regenerated") for _, event in events) == len(STEPS)


async def test_a_bare_subgraph_tells_its_steps_with_subgraphs_only(pair: Pair) -> None:
    assert await told(with_messages(pair, node=False), QUESTION, subgraphs=False) == []
    events = await told(with_messages(pair, node=False), QUESTION, subgraphs=True)
    assert {ns[0].partition(":")[0] for ns, _ in events} == {"reason"}
    assert sum(event in ("step_accepted", "step_regenerated") for _, event in events) == len(STEPS)


async def test_a_node_tells_each_step_once_with_subgraphs_too(pair: Pair) -> None:
    """And what its own nodes did, below."""
    modes: Any = ["custom", "updates"]
    steps: list[str] = []
    nodes: set[tuple[bool, str]] = set()
    async for part in with_messages(pair, node=True).astream(
        QUESTION, config(), stream_mode=modes, subgraphs=True, version="v2"
    ):
        if part["type"] == "custom":
            steps.append(part["data"]["event"])
        else:
            nodes.update((bool(part["ns"]), name) for name in part["data"])
    assert steps.count("step_regenerated") == 1
    assert nodes == {(False, "reason"), *((True, name) for name in ("draft_step", "judge", "regenerate", "finalize"))}


@pytest.mark.parametrize("node", [False, True])
async def test_checkpoints_are_in_the_parents_checkpointer(pair: Pair, node: bool) -> None:
    saver = InMemorySaver()
    parent = with_messages(pair, node=node, saver=saver)
    await parent.ainvoke(QUESTION, config())
    below = [kept.checkpoint async for kept in saver.alist(None) if kept.config["configurable"]["checkpoint_ns"]]
    assert any("specreason_run" in checkpoint["channel_values"] for checkpoint in below)


@pytest.mark.parametrize("node", [False, True])
async def test_the_loop_is_drawn_inside_the_parent(pair: Pair, node: bool) -> None:
    """As Studio draws it."""
    nodes = with_messages(pair, node=node).get_graph(xray=True).nodes
    assert {"reason:judge", "reason:regenerate"} <= nodes.keys()


@pytest.mark.parametrize("parent", ["subgraph", "node", "task"])
async def test_a_person_is_asked_through_the_parent(pair: Pair, parent: str) -> None:
    settings, saver = Settings(ask_band=(5, 6)), InMemorySaver()
    if parent == "task":
        graph, given = with_a_task(pair, saver, settings), {"task": "add"}
    else:
        graph, given = with_messages(pair, node=parent == "node", saver=saver, settings=settings), QUESTION
    waiting = await graph.ainvoke(given, config())
    assert waiting["__interrupt__"][0].value["text"].strip() == STEPS[1]
    events = [
        event["event"]
        async for event in graph.astream(Command(resume={"decision": "accept"}), config(), stream_mode="custom")
    ]
    state = (await graph.aget_state(config())).values
    assert (state.get("plan") or state["messages"][-1].text) == "24"
    if parent != "subgraph":
        assert events.count("step_accepted") == len(STEPS) - 1


async def kept(parent: Any, given: Any, context: Any) -> int:
    """How many steps the loop kept."""
    events = parent.compile().astream(given, config(), context=context, stream_mode="custom")
    return [event["event"] in ("step_accepted", "step_regenerated") async for event in events].count(True)


@pytest.mark.parametrize(
    ("settings", "context", "steps"),
    [
        (None, {"user": "ada", "max_steps": 3}, 12),
        (None, {"user": "ada", "specreason": {"max_steps": 3}}, 3),
        (Settings(max_steps=4), {"user": "ada", "max_steps": 3}, 4),
        ({"max_steps": 4}, None, 4),
        (lambda state: Settings(max_steps=len(state["messages"]) + 1), None, 2),
        (lambda state: None, None, 12),
        (Settings(max_steps=4, seed=7), {"specreason": {"max_steps": 3}}, 3),
    ],
)
async def test_a_node_has_settings_of_its_own_below_those_of_the_run(
    pair: Pair, settings: Any, context: Any, steps: int
) -> None:
    parent = StateGraph(MessagesState, context_schema=Anyone)
    parent.add_node("reason", specreason_node(create_specreason(pair=pair).compile(), settings=settings))
    parent.add_edge(START, "reason")
    assert await kept(parent, QUESTION, context) == steps


async def test_a_setting_of_a_node_that_is_none_is_told_when_it_is_made(pair: Pair) -> None:
    with pytest.raises(ConfigError, match=r"^max_stepz"):
        specreason_node(create_specreason(pair=pair).compile(), settings={"max_stepz": 3})


async def test_it_is_a_tool_of_an_agent(pair: Pair) -> None:
    """Called by a tool node, with the reply beside the text, and its steps in the agent's stream."""
    tool = specreason_tool(create_specreason(pair=pair).compile())
    assert tool.args_schema.model_json_schema()["required"] == ["question"]  # type: ignore[union-attr]
    agent = StateGraph(MessagesState)
    agent.add_node("tools", ToolNode([tool]))
    agent.add_edge(START, "tools")
    call = {"name": "reason", "args": {"question": "How much is it?"}, "id": "1"}
    given: Any = {"messages": [HumanMessage("?"), AIMessage("", tool_calls=[call])]}
    events: list[str] = []
    result: Any = {}
    async for part in agent.compile().astream(given, stream_mode=["custom", "values"], version="v2"):
        if part["type"] == "custom":
            events.append(part["data"]["event"])
        else:
            result = part["data"]
    told = result["messages"][-1]
    assert (told.content, told.tool_call_id) == ("24", "1")
    assert told.artifact.additional_kwargs["reasoning_content"].startswith(STEPS[0])
    assert events.count("step_drafted") == len(STEPS)


async def test_the_tool_can_be_called_alone(pair: Pair) -> None:
    assert await specreason_tool(create_specreason(pair=pair).compile()).ainvoke({"question": "How much?"}) == "24"


async def test_the_example_of_graphs_md(pair: Pair) -> None:
    text = (Path(__file__).parents[2] / "docs" / "graphs.md").read_text()
    page: dict[str, Any] = {"__name__": "page"}
    [block] = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(block, "graphs.md", "exec", dont_inherit=True), page)  # as a page without this module's __future__
    assert await page["solve"](pair, "How much is it?") == "24"
    context = page["Context"]
    for given, steps in ((context("ada"), len(STEPS)), (context("ada", specreason=Settings(max_steps=2)), 2)):
        assert await kept(page["parent"](pair).builder, QUESTION, given) == steps
