"""A tool that fails is a failed tool, whatever the agent: its model is told, in a sentence; sync and async."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import ToolException
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from specreason_graph import ConfigError, Pair, Settings, create_specreason, specreason_tool
from specreason_graph.contract.errors import EndpointFailed
from specreason_graph.testing import Fault, Script, ScriptedPair, scripted_pair
from specreason_graph.use.background import wait_for

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
BASE = Script(STEPS, answer="12 legs", scores=[9, 6, 9])
THREAD: Any = {"configurable": {"thread_id": "t"}}
LONG = "word " * 6000
TOO_LONG = "The question is too long to reason on: ask a shorter one."
GONE = "The models that reason can't be reached now: go on without them, or try again later."


class Caller(GenericFakeChatModel):
    """Says its messages one after the other."""

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        """They are known."""
        return self


@pytest_asyncio.fixture
async def servers() -> AsyncIterator[ScriptedPair]:
    async with scripted_pair(BASE, Script(STEPS), template="think") as servers:
        yield servers


@pytest_asyncio.fixture
async def pair(servers: ScriptedPair) -> AsyncIterator[Pair]:
    async with Pair(servers.config) as pair:
        yield pair
        wait_for(pair.aclose())  # where the sync calls ran


def agent(tool: Any, *questions: str, saver: Any = None) -> Any:
    calls: Any = [{"name": tool.name, "args": {"question": q}, "id": str(i)} for i, q in enumerate(questions)]
    model = Caller(messages=iter([AIMessage("", tool_calls=calls), AIMessage("I went on.")]))
    return create_agent(model=model, tools=[tool], checkpointer=saver)


async def called(agent: Any, sync: bool, given: Any = None) -> list[ToolMessage]:
    """The results of its tools; it went on behind them."""
    given = given or {"messages": [("user", "How many?")]}
    state = await (asyncio.to_thread(agent.invoke, given, THREAD) if sync else agent.ainvoke(given, THREAD))
    assert state["messages"][-1].text == "I went on."
    return [message for message in state["messages"] if isinstance(message, ToolMessage)]


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("saver", [None, InMemorySaver])
async def test_an_agent_calls_it_once_or_twice_in_a_turn(pair: Pair, sync: bool, saver: Any) -> None:
    tool = specreason_tool(create_specreason(pair=pair).compile())
    for questions in (["q"], ["q", "r"]):
        results = await called(agent(tool, *questions, saver=saver and saver()), sync)
        assert [(result.text, result.status) for result in results] == [("12 legs", "success")] * len(questions)
        assert all(result.artifact.additional_kwargs["reasoning_content"] for result in results)


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize(
    ("question", "told"), [("", "This can't be reasoned on: messages: the question is empty"), (LONG, TOO_LONG)]
)
async def test_a_question_that_can_not_be_asked(pair: Pair, sync: bool, question: str, told: str) -> None:
    tool = specreason_tool(create_specreason(pair=pair).compile())
    first, second = await called(agent(tool, question, "How many?"), sync)
    assert (first.text, first.status, first.artifact) == (told, "error", None)
    assert (second.text, second.status) == ("12 legs", "success")


@pytest.mark.parametrize("sync", [False, True])
async def test_a_server_that_is_down(
    servers: ScriptedPair, pair: Pair, sync: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The agent's model is told nothing of the server; the log is."""
    servers.base.fail(Fault("status", status=500), times=None)
    with caplog.at_level(logging.WARNING):
        [result] = await called(agent(specreason_tool(create_specreason(pair=pair).compile()), "q"), sync)
    assert (result.text, result.status) == (GONE, "error")
    assert servers.config.base.base_url in caplog.text


async def test_what_the_model_is_told_can_be_chosen(servers: ScriptedPair, pair: Pair) -> None:
    graph = create_specreason(pair=pair).compile()
    servers.base.fail(Fault("status", status=500), times=None)
    for handle, told in (("Busy.", "Busy."), (lambda error: f"Oh: {error}", f"Oh: {GONE}")):
        [result] = await called(agent(specreason_tool(graph, handle_tool_error=handle), "q"), sync=False)
        assert (result.text, result.status) == (told, "error")
    with pytest.raises(ToolException, match="can't be reached") as caught:
        await specreason_tool(graph, handle_tool_error=False).ainvoke({"question": "q"})
    assert isinstance(caught.value.__cause__, EndpointFailed)


@pytest.mark.parametrize("sync", [False, True])
async def test_a_person_is_asked_from_inside_the_tool(pair: Pair, sync: bool) -> None:
    settings = Settings(judge="paper", ask_band=(5, 7))
    it = agent(specreason_tool(create_specreason(pair=pair, settings=settings).compile()), "q", saver=InMemorySaver())
    given: Any = {"messages": [("user", "How many?")]}
    waiting = await (asyncio.to_thread(it.invoke, given, THREAD) if sync else it.ainvoke(given, THREAD))
    assert waiting["__interrupt__"][0].value["text"].strip() == STEPS[1]
    [result] = await called(it, sync, Command(resume={"decision": "accept"}))
    assert result.text == "12 legs"


async def test_a_checkpointer_without_async_is_told_with_the_way_round(pair: Pair) -> None:
    kept, free = create_specreason(pair=pair).compile(), create_specreason(pair=pair).compile(checkpointer=False)
    with SqliteSaver.from_conn_string(":memory:") as saver:
        it = agent(specreason_tool(kept), "q", saver=saver)
        with pytest.raises(ConfigError, match=r"compile\(checkpointer=False\)"):
            await called(it, sync=True)
    with SqliteSaver.from_conn_string(":memory:") as saver:
        [result] = await called(agent(specreason_tool(free), "q", saver=saver), sync=True)
        assert result.text == "12 legs"


async def test_it_can_be_called_alone_without_an_event_loop(pair: Pair) -> None:
    tool = specreason_tool(create_specreason(pair=pair).compile())
    assert await asyncio.to_thread(tool.invoke, {"question": "How many?"}) == "12 legs"
