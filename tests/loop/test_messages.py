"""The reply as a chat model's stream: one message, its chunks under the id that it has in the state, nothing twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from chat import BASE, DRAFT, served
from langchain_core.callbacks import AsyncCallbackHandler, get_usage_metadata_callback
from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.outputs import LLMResult
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from specreason_graph import Pair, Settings, create_specreason, specreason_node, specreason_tool
from specreason_graph.loop.messages import reply_id
from specreason_graph.testing import scripted_pair

QUESTION: Any = {"messages": [("user", "How many legs have 3 cows?")]}
REASONING = "There are 3 cows.\n\n3 * 4 = 12 legs.\n\nSo 12."
ANSWER = "There are 12 legs."


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    async with scripted_pair(BASE, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        yield pair


def built(pair: Pair, form: str, **kept: Any) -> Any:
    graph = create_specreason(pair=pair).compile(checkpointer=kept.get("checkpointer") if form == "graph" else None)
    if form == "graph":
        return graph
    parent = StateGraph(MessagesState)
    if form == "tool":
        call = AIMessage("", tool_calls=[{"name": "reason", "args": {"question": "How many?"}, "id": "1"}])
        parent.add_node("agent", lambda state: {"messages": [call]})
        parent.add_node("reason", ToolNode([specreason_tool(graph)]))
        parent.add_edge(START, "agent").add_edge("agent", "reason")
    else:
        parent.add_node("reason", graph if form == "subgraph" else specreason_node(graph))
        parent.add_edge(START, "reason")
    return parent.compile(**kept)


async def told(graph: Any, given: Any = QUESTION, config: Any = None, **values: Any) -> list[Any]:
    """What `messages` tells of models: namespace, message, metadata."""
    parts = graph.astream(given, config, stream_mode="messages", version="v2", **values)
    return [(part["ns"], *part["data"]) async for part in parts if isinstance(part["data"][0], AIMessageChunk)]


def joined(parts: list[Any]) -> AIMessageChunk:
    return add_ai_message_chunks(*(message for _, message, _ in parts))


async def whole(graph: Any, **values: Any) -> list[Any]:
    """The replies that a stream of messages has as a whole, and not in chunks."""
    parts = graph.astream(QUESTION, stream_mode="messages", version="v2", **values)
    said = [part["data"][0] async for part in parts]
    return [message for message in said if type(message) is AIMessage and not message.tool_calls]


@pytest.mark.parametrize("subgraphs", [False, True])
@pytest.mark.parametrize("form", ["graph", "node", "subgraph", "tool"])
async def test_a_reply_is_one_message_in_chunks(pair: Pair, form: str, subgraphs: bool) -> None:
    graph = built(pair, form)
    result = await graph.ainvoke(QUESTION)
    parts = await told(graph, subgraphs=subgraphs)
    if form == "subgraph" and not subgraphs:  # what is in a subgraph is not told, and its parent has it whole
        assert parts == []
        assert [message.text for message in await whole(graph)] == [ANSWER]
        return
    assert await whole(graph, subgraphs=subgraphs) == []
    message = joined(parts)
    assert (message.text, message.additional_kwargs["reasoning_content"]) == (ANSWER, REASONING)
    assert message.content_blocks[0]["type"] == "reasoning"
    assert len({chunk.id for _, chunk, _ in parts}) == 1
    reasoning = [chunk.additional_kwargs["reasoning_content"] for _, chunk, _ in parts if chunk.additional_kwargs]
    assert len(reasoning) == 3
    assert sum(bool(chunk.text) for _, chunk, _ in parts) > 4
    assert parts[-1][1].chunk_position == "last"
    node = {"graph": "finalize", "subgraph": "finalize", "node": "reason", "tool": "reason"}[form]
    assert {metadata["langgraph_node"] for _, _, metadata in parts} == {node}
    assert {ns == () for ns, _, _ in parts} == {form != "subgraph"}
    reply = result["messages"][-1]
    reply = reply.artifact if isinstance(reply, ToolMessage) else reply
    assert message.usage_metadata == reply.usage_metadata
    assert message.response_metadata["finish_reason"] == "stop"


async def test_the_chunks_have_the_id_of_the_message_in_the_state(pair: Pair) -> None:
    for form in ("graph", "node", "subgraph"):
        graph = built(pair, form, checkpointer=InMemorySaver())
        config: Any = {"configurable": {"thread_id": "t"}}
        parts = await told(graph, config=config, subgraphs=True)
        state = (await graph.aget_state(config)).values
        assert {chunk.id for _, chunk, _ in parts} == {state["messages"][-1].id}
        if form == "graph":
            assert state["messages"][-1].id == reply_id(state["specreason_run"])


async def test_two_questions_on_a_thread_are_two_messages(pair: Pair) -> None:
    graph = built(pair, "graph", checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    ids = [{chunk.id for _, chunk, _ in await told(graph, config=config)} for _ in range(2)]
    assert [len(told) for told in ids] == [1, 1]
    assert ids[0] != ids[1]
    replies = [message.id for message in (await graph.aget_state(config)).values["messages"] if message.type == "ai"]
    assert [{reply} for reply in replies] == ids


async def test_a_run_that_waited_for_a_person_goes_on_with_its_message(pair: Pair) -> None:
    graph = create_specreason(pair=pair, settings=Settings(ask_band=(3, 3))).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "t"}}
    first = await told(graph, config=config)
    second = await told(graph, Command(resume={"decision": "edit", "text": "3 * 4 is 12."}), config)
    assert [joined(parts).additional_kwargs["reasoning_content"] for parts in (first, second)] == [
        "There are 3 cows.",
        "\n\n3 * 4 is 12.\n\nSo 12.",
    ]
    assert len({chunk.id for _, chunk, _ in first + second}) == 1


@pytest.mark.parametrize("form", ["graph", "node", "subgraph", "tool"])
async def test_events_tell_it_as_one_run_of_a_chat_model(pair: Pair, form: str) -> None:
    """Guards `astream_events`: its handler is async, and asserts that a run has begun."""
    events = [event async for event in built(pair, form).astream_events(QUESTION, version="v2")]
    chat = [event for event in events if event["event"].startswith("on_chat_model")]
    assert [event["event"] for event in chat if "stream" not in event["event"]] == [
        "on_chat_model_start",
        "on_chat_model_end",
    ]
    assert (chat[0], chat[-1]) == (
        next(e for e in chat if "start" in e["event"]),
        next(e for e in chat if "end" in e["event"]),
    )
    assert len({event["run_id"] for event in chat}) == 1
    assert "".join(event["data"]["chunk"].text for event in chat if "stream" in event["event"]) == ANSWER
    assert chat[-1]["data"]["output"].text == ANSWER
    assert not [event for event in events if event["event"] == "on_llm_stream"]


async def test_a_reply_that_is_not_to_be_streamed_is_told_whole(pair: Pair) -> None:
    """As LangGraph does it with the models of a node."""
    graph = built(pair, "graph").with_config(tags=["nostream"])
    assert await told(graph) == []
    assert [message.text for message in await whole(graph)] == [ANSWER]


@pytest.mark.parametrize(("budget", "cut"), [(2000, False), (50, True)])
async def test_a_call_of_a_tool_comes_in_pieces(budget: int, cut: bool) -> None:
    """Joined, one that was cut is no call, as in the reply."""
    call = 'Let me add.\n<tool_call>\n{"name": "add", "arguments": {"x": 1234567, "y": 7654321}}\n</tool_call>'
    integers = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}}
    add = {"type": "function", "function": {"name": "add", "description": "Add.", "parameters": integers}}
    base = replace(BASE, answer=call)
    async with scripted_pair(base, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(tools=(add,), answer_budget=budget)).compile()
        parts = await told(graph)
        reply = (await graph.ainvoke(QUESTION))["messages"][-1]
    message = joined(parts)
    assert message.text == reply.text == "Let me add."
    assert message.additional_kwargs["reasoning_content"] == REASONING
    assert len(reply.invalid_tool_calls) == cut
    assert [call["args"] for call in message.tool_calls] == [call["args"] for call in reply.tool_calls]
    assert [call["name"] for call in message.invalid_tool_calls] == [call["name"] for call in reply.invalid_tool_calls]
    assert sum(bool(chunk.tool_call_chunks) for _, chunk, _ in parts) > (2 if cut else 10)
    assert message.response_metadata["finish_reason"] == ("length" if cut else "tool_calls")


@pytest.mark.parametrize("subgraphs", [False, True])
async def test_a_chat_model_in_a_node_shows_no_graph_of_its_own(subgraphs: bool) -> None:
    async with served() as (model, _):

        async def ask(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await model.ainvoke(state["messages"])]}

        graph = StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").compile()
        modes: Any = ["messages", "values", "updates", "custom"]
        parts = [part async for part in graph.astream(QUESTION, stream_mode=modes, subgraphs=subgraphs, version="v2")]
        events = [event async for event in graph.astream_events(QUESTION, version="v2")]
    assert {part["ns"] for part in parts} == {()}
    counts = {mode: sum(part["type"] == mode for part in parts) for mode in modes}
    assert (counts["values"], counts["updates"], counts["custom"]) == (2, 1, 0)
    messages = [part["data"] for part in parts if part["type"] == "messages"]
    assert "".join(message.text for message, _ in messages) == ANSWER
    assert {metadata["langgraph_node"] for _, metadata in messages} == {"ask"}
    assert len({message.id for message, _ in messages}) == 1
    assert {event["name"] for event in events} <= {"LangGraph", "ask", "ChatSpecReason"}


async def test_nobody_streams_a_reply_that_no_stream_is_made_of(pair: Pair) -> None:
    """Tracers and counters have the requests to the models; the reply would be there a second time."""

    class Counter(AsyncCallbackHandler):
        ended = 0
        begun = 0

        async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            self.begun += 1

        async def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
            message = response.generations[0][0].message  # type: ignore[union-attr]
            assert isinstance(message, AIMessage)
            assert message.usage_metadata is not None
            self.ended += message.usage_metadata["total_tokens"]

    counter = Counter()
    with get_usage_metadata_callback() as used:
        config: Any = {"callbacks": [counter]}
        [*_, state] = [
            s async for s in built(pair, "graph").astream(QUESTION, config, stream_mode=["messages", "values"])
        ]
    reply = state[1]["messages"][-1]
    assert counter.begun == 0
    assert counter.ended == reply.usage_metadata["total_tokens"]
    assert sum(model["total_tokens"] for model in used.usage_metadata.values()) == counter.ended
    assert used.usage_metadata.keys() == {"scripted-base", "scripted-draft"}
