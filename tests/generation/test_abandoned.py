"""Runs that are cut, left, killed or fail: no server goes on for them, and they go on from the ledger."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from specreason_graph import create_specreason
from specreason_graph.contract.errors import EndpointFailed
from specreason_graph.generation import live
from specreason_graph.generation.live import TICK, TICKS
from specreason_graph.testing import Fault

from .paced import QUESTION, STEPS, config, nothing_runs, paced

SECONDS = TICK * (TICKS + 1)


async def test_cancels_at_random_moments_leave_nothing_running() -> None:
    async with paced() as (servers, pair):
        graph = create_specreason(pair=pair).compile()
        chance = random.Random(0)
        for _ in range(30):
            run = asyncio.create_task(graph.ainvoke(QUESTION, config()))
            await asyncio.sleep(chance.uniform(0.005, 0.4))
            run.cancel()
            await asyncio.wait({run})
            await nothing_runs(servers)
        assert (await graph.ainvoke(QUESTION, config()))["specreason_answer"] == "72"


async def test_an_abandoned_stream_stops_when_its_lease_ends() -> None:
    """A consumer that just goes away: between two nodes nobody is told."""
    async with paced() as (servers, pair):
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver())
        async for update in graph.astream(QUESTION, config(), stream_mode="updates"):
            if "judge" in update:
                break
        await nothing_runs(servers)
        state = await graph.ainvoke(None, config())
        assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS


async def test_an_interrupted_run_goes_on_from_the_ledger_when_its_streams_are_gone() -> None:
    async with paced() as (servers, pair):
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_before=["judge"])
        state = await graph.ainvoke(QUESTION, config())
        while not state.get("specreason_done"):
            await asyncio.sleep(0 if len(state["specreason_steps"]) % 2 else SECONDS * 1.2)
            state = await graph.ainvoke(None, config())
        assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
        await nothing_runs(servers)


async def test_a_fork_in_mid_hedge_takes_nothing_from_the_other_run() -> None:
    """Both go on from one checkpoint: one may take its streams over, the other writes anew."""
    async with paced() as (servers, pair):
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_before=["judge"])
        await graph.ainvoke(QUESTION, config())
        graph.interrupt_before_nodes = []
        forks = [await graph.aupdate_state(config(), {}) for _ in range(2)]
        ends = await asyncio.gather(
            *(graph.ainvoke(None, {**config(), **fork, "recursion_limit": 200}) for fork in forks)
        )
        for state in ends:
            assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
        await nothing_runs(servers)


async def test_a_judge_that_fails_stops_draft_and_hedge(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once: a lease would end only after the test's patience."""
    monkeypatch.setattr(live, "TICK", 60.0)
    async with paced() as (servers, pair):
        graph = create_specreason(pair=pair).compile()

        async def until_judged() -> None:
            async for event in graph.astream(QUESTION, config(), stream_mode="custom"):
                if event["event"] == "step_accepted":
                    servers.base.fail(Fault("status", status=500), times=None)

        with pytest.raises(EndpointFailed):
            await until_judged()
        await nothing_runs(servers)


async def test_a_broken_hedge_costs_nothing_until_it_is_needed() -> None:
    """Base's streams break, its verdicts come: accepted steps are kept, and a reject shows the error."""
    async with paced() as (servers, pair):
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver())
        servers.base.fail(Fault("close", after=1), times=None)
        with pytest.raises(Exception, match="base endpoint"):
            await graph.ainvoke(QUESTION, config())
        kept = (await graph.aget_state(config())).values["specreason_steps"]
        assert [step["text"].strip() for step in kept] == STEPS[:1]


WORKER = """
import asyncio, sys
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from specreason_graph import Pair, PairConfig, create_specreason

async def main():
    config = {"configurable": {"thread_id": "t"}, "recursion_limit": 200}
    pair = Pair(PairConfig.model_validate_json(sys.argv[1]))
    async with pair, AsyncSqliteSaver.from_conn_string(sys.argv[2]) as saver:
        graph = create_specreason(pair=pair).compile(checkpointer=saver)
        async for _ in graph.astream({"messages": [("user", "How much is it?")]}, config, durability="sync"):
            print("node", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("nodes", [2, 5, 9])
async def test_a_killed_process_leaves_nothing_running_and_its_run_goes_on(nodes: int, tmp_path: Path) -> None:
    """kill -9 in mid-hedge: the servers see closed connections, and another process has the ledger."""
    path = str(tmp_path / "run.sqlite")
    async with paced() as (servers, pair):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, servers.config.model_dump_json(), path, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(nodes):
            assert await process.stdout.readline() == b"node\n"
        process.kill()
        await process.wait()
        await nothing_runs(servers)
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            graph = create_specreason(pair=pair).compile(checkpointer=saver)
            kept = len((await graph.aget_state(config())).values["specreason_steps"])
            state = await graph.ainvoke(None, config())
        assert 0 < kept < len(STEPS)
        assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
