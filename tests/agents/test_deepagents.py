"""deepagents: the chat model as the model of all of it, and the compiled graph as a subagent."""

from __future__ import annotations

from typing import Any

from deepagents import CompiledSubAgent, create_deep_agent
from drawings import drawing
from langchain_core.messages import HumanMessage, ToolMessage

from specreason_graph import create_specreason
from specreason_graph.models.image_file import as_block

from .scripted import ENGINES, LOOP, TOOLS, Call, acting, calls_of, price, served

LONG = 262_144  # tokens of the scripted servers, whose words are many; deepagents has much to tell its model
DONE = "Seven engines cost 37800."
TASK = Call("task", {"description": "What do 7 engines cost?", "subagent_type": "thinker"})


async def test_tools_of_its_own() -> None:
    async with served(LOOP, context=LONG) as (model, _):
        state: Any = await create_deep_agent(model=model, tools=TOOLS).ainvoke(ENGINES)
    assert calls_of(state) == [price("engine"), ("product", {"a": 5400, "b": 7})]
    assert state["messages"][-1].text == DONE


async def test_its_files() -> None:
    note = Call("write_file", {"file_path": "/cost.txt", "content": "37800"})
    script = acting([note, Call("ls", {"path": "/"})], [Call("read_file", {"file_path": "/cost.txt"})], DONE)
    async with served(script, context=LONG) as (model, _):
        state: Any = await create_deep_agent(model=model).ainvoke(ENGINES)
    told = {message.name: message.text for message in state["messages"] if isinstance(message, ToolMessage)}
    assert "37800" in told["read_file"]
    assert state["messages"][-1].text == DONE


async def test_an_image_is_seen() -> None:
    """Guards what our profile says: deepagents takes images out where it says that there can be none."""
    blocks: Any = [as_block(drawing("red")), {"type": "text", "text": "Which colour?"}]
    async with served(acting("Red."), context=LONG, sees=True) as (model, servers):
        state: Any = await create_deep_agent(model=model).ainvoke({"messages": [HumanMessage(blocks)]})
    assert state["messages"][-1].text == "Red."
    for it in (servers.base, servers.draft):
        shown = [part["uuid"] for record in it.requests for part in record.body.get("content_parts", ())]
        assert drawing("red").uuid in shown


async def test_our_graph_is_a_subagent() -> None:
    async with served(acting([TASK], DONE), context=LONG) as (model, _), served(acting("37800.")) as (thinker, _):
        sub = CompiledSubAgent(
            name="thinker",
            description="Thinks a hard question through.",
            runnable=create_specreason(pair=thinker.pair).compile(),
        )
        state: Any = await create_deep_agent(model=model, subagents=[sub]).ainvoke(ENGINES)
    [told] = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert told.text == "37800."
    assert state["messages"][-1].text == DONE


async def test_a_subagent_with_tools_and_our_model() -> None:
    async with served(acting([TASK], DONE), context=LONG) as (model, _), served(LOOP, context=LONG) as (thinker, _):
        sub: Any = {
            "name": "thinker",
            "description": "Thinks.",
            "system_prompt": "Think.",
            "tools": TOOLS,
            "model": thinker,
        }
        state: Any = await create_deep_agent(model=model, subagents=[sub]).ainvoke(ENGINES)
    [told] = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert told.text == DONE
