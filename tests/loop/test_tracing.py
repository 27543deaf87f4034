"""Each request to a model is a run below the node that made it, with the tokens it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from chat import BASE, DRAFT, served, served_beside
from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    get_usage_metadata_callback,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run
from langgraph.graph import END, START, MessagesState, StateGraph

from specreason_graph import EndpointError, Settings, create_specreason
from specreason_graph.endpoint.protocol import Sampling
from specreason_graph.generation.passage import Bounds, collect
from specreason_graph.loop.graph import after_regenerate
from specreason_graph.loop.tracing import Edge, TracedEndpoint, traced
from specreason_graph.testing import Fault, Pace, ScriptedServer

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


class Slow(AsyncCallbackHandler):
    """A stream may be dropped while a handler is told that it begins."""

    async def on_llm_start(self, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0.01)


class Late(Tracer):
    """Hears of a request when its node may be over."""

    def on_llm_start(self, *args: Any, **kwargs: Any) -> Run:
        time.sleep(0.05)
        return super().on_llm_start(*args, **kwargs)


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
            reply: AIMessage = add_ai_message_chunks(
                *[chunk async for chunk in model.astream(QUESTION, {"callbacks": [tracer]})]
            )
        else:
            reply = await model.ainvoke(QUESTION, {"callbacks": [tracer]})
        count = len(servers.base.completions) + len(servers.draft.completions)
    root, requests = tracer.root, list(below(tracer.root))
    assert [child.name for child in root.child_runs] == ["specreason"]
    assert {run.name for run in requests} == {"draft", "judge", "regenerate", "answer"}
    assert {run.extra["metadata"]["ls_model_name"] for run in requests} == {"scripted-base", "scripted-draft"}
    assert len(requests) == count
    assert reply.usage_metadata is not None
    spent = (reply.usage_metadata["input_tokens"], reply.usage_metadata["output_tokens"])
    assert spent == tuple(map(sum, zip(*map(tokens, requests), strict=True)))
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


@pytest.mark.parametrize("streams", [False, True])
async def test_tokens_are_counted_once_under_the_names_of_the_models(streams: bool) -> None:
    """The sum that LangChain keeps has the requests, and not the reply's usage once more."""
    async with served() as (model, _):
        with get_usage_metadata_callback() as used:
            if streams:
                reply: AIMessage = add_ai_message_chunks(*[chunk async for chunk in model.astream(QUESTION)])
            else:
                reply = await model.ainvoke(QUESTION)
    assert reply.usage_metadata is not None
    assert used.usage_metadata.keys() == {"scripted-base", "scripted-draft"}
    assert sum(usage["total_tokens"] for usage in used.usage_metadata.values()) == reply.usage_metadata["total_tokens"]


@pytest.mark.parametrize("settings", [Settings(), Settings(hedge=False, look_ahead=False), Settings(answer_by="draft")])
@pytest.mark.parametrize("pace", [None, Pace(seconds_per_token=0.002), Pace(ttft=0.02, seconds_per_token=0.005)])
async def test_what_each_role_used_is_the_sum_of_its_requests(settings: Settings, pace: Pace | None) -> None:
    """Also of streams that were cut, and of what was written for nothing."""
    tracer, slow = Tracer(), Slow()
    base, draft = ScriptedServer(BASE, template="think", pace=pace), ScriptedServer(DRAFT, template="think")
    async with served(base, draft) as (model, _):
        graph = create_specreason(pairs=model.pairs, settings=settings).compile()
        state = await graph.ainvoke({"messages": [HumanMessage(QUESTION)]}, {"callbacks": [tracer, slow]})
    assert_adds_up(tracer, state, settings)


def assert_adds_up(tracer: Tracer, state: Any, settings: Settings) -> None:
    """Each role used what the runs of its requests tell."""
    roles = {"draft": "draft", "judge": "judge", "regenerate": "base", "answer": settings.answer_by}
    for role, usage in state["specreason_usage"].items():
        spent = [tokens(run) for run in below(tracer.root) if roles[run.name] == role]
        assert (usage["prompt_tokens"], usage["completion_tokens"]) == tuple(map(sum, zip(*spent, strict=True)))
        assert usage["requests"] == len(spent)


async def test_a_tracer_that_is_late_has_every_request_below_its_node() -> None:
    """One that base begins for nothing may be told of when the node that began it has nothing more to do."""
    tracer = Late()
    async with served() as (model, _):
        graph = create_specreason(pairs=model.pairs).compile()
        state = await graph.ainvoke({"messages": [HumanMessage(QUESTION)]}, {"callbacks": [tracer]})
    assert_adds_up(tracer, state, Settings())


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("after", [0.0, 0.02, 0.07, 0.12])
async def test_what_is_cancelled_while_a_slow_tracer_hears_of_it_ends_all_the_same(after: float, times: int) -> None:
    """A generation with the tokens that its server was sent, a reading also with an error; cancelled once or again."""
    written, read = Late(), Late()
    async with served() as (model, _):
        base = model.pairs["default"].base
        prompt = await base.render([{"role": "user", "content": QUESTION}], {})
        writes, reads = (TracedEndpoint(base, "draft", AsyncCallbackManager([tracer])) for tracer in (written, read))
        sampling = Sampling(temperature=0, top_p=1, seed=1)
        tasks = [asyncio.create_task(it) for it in (collect(writes, prompt, Bounds(5), sampling), reads.read([prompt]))]
        for _ in range(times):
            await asyncio.sleep(after / times)
            for task in tasks:
                task.cancel()
        await asyncio.wait(tasks)
        await writes.told()
        await reads.told()
    assert (written.root.error, tokens(written.root)[0]) == (None, len(prompt))
    assert read.root.end_time is not None


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
