"""Each request to a model is a run below the node that made it, with the tokens it took."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chat import served, served_beside
from langchain_core.callbacks import BaseCallbackHandler, get_usage_metadata_callback
from langchain_core.messages import HumanMessage
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run
from langgraph.graph import END, START, MessagesState, StateGraph

from specreason_graph import EndpointError, Settings, create_specreason
from specreason_graph.loop.graph import after_regenerate
from specreason_graph.loop.tracing import Edge, traced
from specreason_graph.testing import Fault

QUESTION = "How many legs have 3 cows?"


class Tracer(BaseTracer):
    """Keeps the trees of runs."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.roots.append(run)

    @property
    def root(self) -> Run:
        """The only tree."""
        [root] = self.roots
        return root


def below(run: Run, kind: str = "llm") -> Iterator[Run]:
    for child in run.child_runs:
        if child.run_type == kind:
            yield child
        yield from below(child, kind)


def tokens(run: Run) -> tuple[int, int]:
    assert run.outputs is not None
    usage = run.outputs["generations"][0][0]["message"]["kwargs"]["usage_metadata"]
    return usage["input_tokens"], usage["output_tokens"]


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_calls_requests_add_up_to_its_tokens(streams: bool, overlap: bool) -> None:
    """Also those that are cut, and those that go on from one node to the next."""
    tracer = Tracer()
    async with served(settings=Settings(hedge=overlap, look_ahead=overlap)) as (model, servers):
        if streams:
            _ = [chunk async for chunk in model.astream(QUESTION, {"callbacks": [tracer]})]
        else:
            await model.ainvoke(QUESTION, {"callbacks": [tracer]})
        count = len(servers.base.completions) + len(servers.draft.completions)
    root, requests = tracer.root, list(below(tracer.root))
    assert [child.name for child in root.child_runs] == ["specreason"]
    assert {run.name for run in requests} == {"draft", "judge", "regenerate", "answer"}
    assert {run.extra["metadata"]["ls_model_name"] for run in requests} == {"scripted-base", "scripted-draft"}
    assert len(requests) == count
    assert tokens(root) == tuple(map(sum, zip(*map(tokens, requests), strict=True)))
    assert all(run.end_time is not None and run.error is None for run in requests)


def test_sync_calls_are_traced_likewise() -> None:
    called, streamed = Tracer(), Tracer()
    with served_beside() as (model, _):
        model.invoke(QUESTION, {"callbacks": [called]})
        list(model.stream(QUESTION, {"callbacks": [streamed]}))
    for tracer in (called, streamed):
        assert [child.name for child in tracer.root.child_runs] == ["specreason"]
        assert [run.name for run in below(tracer.root)][-1] == "answer"


async def test_a_model_in_a_graph_that_streams_messages_is_traced_below_its_node() -> None:
    """LangGraph's own handler runs inline, others do not."""
    tracer = Tracer()
    async with served() as (model, _):

        async def ask(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await model.ainvoke(state["messages"])]}

        builder = StateGraph(MessagesState)
        builder.add_node("ask", ask)
        builder.add_edge(START, "ask")
        builder.add_edge("ask", END)
        question: Any = {"messages": [HumanMessage(QUESTION)]}
        async for _ in builder.compile().astream(question, {"callbacks": [tracer]}, stream_mode="messages"):
            pass
    [node] = tracer.root.child_runs
    [call] = node.child_runs
    assert (node.name, call.name) == ("ask", "ChatSpecReason")
    assert "judge" in {run.name for run in below(call)}


async def test_the_graph_alone_is_traced_too() -> None:
    tracer = Tracer()
    async with served() as (model, _):
        graph = create_specreason(pairs=model.pairs).compile()
        await graph.ainvoke({"messages": [HumanMessage(QUESTION)]}, {"callbacks": [tracer]})
    judges = [run for run in below(tracer.root, "chain") if run.name == "judge"]
    assert [run.name for run in below(judges[0])] == ["judge"]


async def test_where_the_graph_goes_on_is_traced_below_its_node() -> None:
    tracer = Tracer()
    async with served() as (model, _):
        graph = create_specreason(pairs=model.pairs).compile()
        await graph.ainvoke({"messages": [HumanMessage(QUESTION)]}, {"callbacks": [tracer]})
    ways = {node.name: [(way.name, way.outputs) for way in node.child_runs] for node in tracer.root.child_runs}
    assert ways["draft_step"][-1] == ("after_draft", {"output": "drafted"})
    assert ways["judge"][-1] == ("after_judge", {"output": "over"})


def test_where_nothing_listens_an_edge_is_a_call() -> None:
    """Not a task and not a thread, which LangGraph would make of it: it is a part of every step's time."""
    going = Edge(after_regenerate).ainvoke({"messages": [], "specreason_ended": "steps"})
    with pytest.raises(StopIteration) as gone:
        going.send(None)
    assert gone.value.value == "over"


async def test_tokens_are_not_counted_twice() -> None:
    """The sum that LangChain keeps has the reply's usage, and not that of its requests once more."""
    async with served() as (model, _):
        with get_usage_metadata_callback() as usage:
            reply = await model.ainvoke(QUESTION)
    assert reply.usage_metadata is not None
    assert usage.usage_metadata["scripted-base"]["total_tokens"] == reply.usage_metadata["total_tokens"]
    assert list(usage.usage_metadata) == ["scripted-base"]


async def test_a_request_that_fails_is_a_run_with_its_error() -> None:
    tracer = Tracer()
    async with served(settings=Settings(hedge=False)) as (model, servers):
        servers.base.fail(Fault("status", status=500))
        with pytest.raises(EndpointError):
            await model.ainvoke(QUESTION, {"callbacks": [tracer]})
    failed = [run for run in below(tracer.root) if run.error]
    assert [run.name for run in failed] == ["judge"]
    assert "500" in str(failed[0].error)


async def test_without_callbacks_nothing_stands_between_node_and_server() -> None:
    async with served() as (model, _):
        pair = model.pairs["default"]
        assert traced(pair, {}) is pair
        quiet: list[BaseCallbackHandler] = []
        assert traced(pair, {"callbacks": quiet}) is pair
