"""Finding the checkpoint before a step: the right one, and without rebuilding any state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, DeltaChannelHistory
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

from specreason_graph import ConfigError, Pair, Settings, checkpoint_before, create_specreason, edited
from specreason_graph.testing import Script, scripted_pair

STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 7)]
QUESTION: Any = {"messages": [("user", "How much is it?")]}
THREAD: Any = {"configurable": {"thread_id": "t"}}


@asynccontextmanager
async def graph_on(saver: Any, steps: list[str] = STEPS, scores: Sequence[int] = (9, 2)) -> AsyncIterator[Any]:
    base = Script(steps, answer="24", scores=list(scores))
    async with scripted_pair(base, Script(steps), template="think") as servers, Pair(servers.config) as pair:
        yield create_specreason(pair=pair, settings=Settings(judge="paper")).compile(checkpointer=saver)


async def kept(graph: Any, at: RunnableConfig) -> tuple[tuple[str, ...], int]:
    state = await graph.aget_state(at)
    return state.next, len(state.values["specreason_steps"])


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_it_is_the_one_at_which_the_step_is_next(store: str) -> None:
    async with AsyncSqliteSaver.from_conn_string(":memory:") as sqlite:
        saver: Any = sqlite if store == "sqlite" else InMemorySaver()
        async with graph_on(saver) as graph:
            done = await graph.ainvoke(QUESTION, THREAD)
            sources = [step["source"] for step in done["specreason_steps"]]
            assert set(sources) == {"draft", "base"}
            for index, source in enumerate(sources):
                by = ("judge",) if source == "draft" else ("regenerate",)
                assert await kept(graph, await checkpoint_before(saver, THREAD, index)) == (by, index)
            assert await kept(graph, await checkpoint_before(saver, THREAD)) == (("finalize",), len(STEPS))


async def test_a_run_goes_on_from_there() -> None:
    saver = InMemorySaver()
    async with graph_on(saver, scores=[9]) as graph:
        await graph.ainvoke(QUESTION, THREAD)
        before = await checkpoint_before(saver, THREAD, 2)
        again = await graph.ainvoke(None, before, context={"threshold": 9, "max_steps": 3})
        assert len(again["specreason_steps"]) == 3


async def test_only_the_threads_last_run_is_looked_at() -> None:
    saver = InMemorySaver()
    async with graph_on(saver) as graph:
        await graph.ainvoke(QUESTION, THREAD)
        again = {"messages": [HumanMessage("And twice?")]}
        await graph.ainvoke(again, THREAD, context=Settings(max_steps=2))
        assert await kept(graph, await checkpoint_before(saver, THREAD, 1)) == (("regenerate",), 1)
        with pytest.raises(ConfigError, match="no checkpoint from before step 2"):
            await checkpoint_before(saver, THREAD, 2)


async def test_a_branch_is_followed_to_where_it_left() -> None:
    """An edit writes all steps anew: the step that it put in was first kept further back."""
    saver = InMemorySaver()
    async with graph_on(saver) as graph:
        await graph.ainvoke(QUESTION, THREAD)
        trunk = await checkpoint_before(saver, THREAD)
        fork = await graph.aupdate_state(trunk, edited(1, "1 and 1 is 2, and so on."), as_node="judge")
        await graph.ainvoke(None, fork)
        answered = await checkpoint_before(saver, THREAD)
        assert answered != trunk
        assert (await kept(graph, await checkpoint_before(saver, THREAD, 1)))[1] == 1
        assert (await kept(graph, await checkpoint_before(saver, THREAD, 3)))[1] == 3
        assert await checkpoint_before(saver, THREAD, 3) != await checkpoint_before(saver, trunk, 3)


async def test_a_loop_inside_another_graph_has_its_own_thread() -> None:
    saver = InMemorySaver()
    async with graph_on(None) as loop:
        parent = StateGraph(MessagesState)
        parent.add_node("reason", loop)
        parent.add_edge(START, "reason")
        graph = parent.compile(checkpointer=saver, interrupt_after=["reason"])
        await graph.ainvoke(QUESTION, THREAD)
        [below] = {
            held.config["configurable"]["checkpoint_ns"]
            async for held in saver.alist(THREAD)
            if held.config["configurable"]["checkpoint_ns"]
        }
        inside: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": below}}
        found = await saver.aget_tuple(await checkpoint_before(saver, inside, 2))
        assert found is not None
        assert found.checkpoint["channel_values"]["specreason_pending"]["status"] in ("drafted", "rejected")


@pytest.mark.parametrize("durability", ["exit", "none"])
async def test_what_was_not_kept_is_not_found(durability: Any) -> None:
    saver = InMemorySaver()
    async with graph_on(saver) as graph:
        if durability == "exit":
            await graph.ainvoke(QUESTION, THREAD, durability=durability)
        for step in (0, 3, None):
            with pytest.raises(ConfigError, match="no checkpoint from before"):
                await checkpoint_before(saver, THREAD, step)


class Counting(InMemorySaver):
    """Counts what is read."""

    tuples_read = 0
    writes_read = 0

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `InMemorySaver`."""
        found = await super().aget_tuple(config)
        self.tuples_read += 1
        self.writes_read += len((found and found.pending_writes) or ())
        return found

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """See `InMemorySaver`."""
        raise AssertionError("a state was rebuilt")


async def test_reading_is_linear() -> None:
    read = {}
    for count in (10, 20, 40):
        saver = Counting()
        steps = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, count + 1)]
        async with graph_on(saver, steps, scores=[9]) as graph:
            await graph.ainvoke(QUESTION, THREAD)
        saver.tuples_read = saver.writes_read = 0
        await checkpoint_before(saver, THREAD, 0)
        read[count] = saver.tuples_read, saver.writes_read
    assert read[20][0] - read[10][0] == 10 * 2
    assert read[40][0] - read[20][0] == 20 * 2
    assert read[40][1] - read[20][1] == 2 * (read[20][1] - read[10][1])
