"""Whole runs behind the proxy: each comes to its answer, or to one error of ours with the steps that were kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from faulty import behind as behind_proxies
from faulty import struck
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.contract.errors import SpecReasonError
from specreason_graph.testing import FaultProxy, Script, WireFault, scripted_pair
from specreason_graph.testing.wire_fault import KINDS, WireFaultKind

STEPS = ["There are 3 cows.", "Each has 4 legs.", "3 * 4 = 12 legs.", "So 12."]
WRONG = [*STEPS[:2], "3 * 4 = 11 legs.", STEPS[3]]
QUESTION: Any = {"messages": [HumanMessage("How many legs have 3 cows?", id="1")]}
THREAD: Any = {"configurable": {"thread_id": "1"}}
IN_STREAMS: tuple[WireFaultKind, ...] = ("reset", "stall", "truncate", "garbage", "status")
FAULTS: list[WireFault] = [*(WireFault(kind) for kind in KINDS), *(WireFault(kind, after=2) for kind in IN_STREAMS)]


class Behind:
    """A graph on a scripted pair, and the proxies before its servers."""

    def __init__(self, graph: Any, proxies: dict[str, FaultProxy]) -> None:
        self.graph = graph
        self.proxies = proxies

    async def run(self, fault: WireFault, role: str, times: int | None) -> tuple[list[str], Exception | None]:
        """The kept steps, and how a run ended that meets a fault behind its first step."""
        met = False
        try:
            async for event in self.graph.astream(QUESTION, THREAD, stream_mode="custom"):
                if not met and event["event"] == "step_accepted":
                    self.proxies[role].fail(fault, path="/v1/completions", times=times)
                    met = True
        except Exception as error:
            return await self.kept(), error
        return await self.kept(), None

    async def kept(self) -> list[str]:
        """The steps of the checkpoint."""
        state = await self.graph.aget_state(THREAD)
        return [step["text"].strip() for step in state.values["specreason_steps"]]


@asynccontextmanager
async def behind(kind: WireFaultKind | None = None, patience: float = 0.5) -> AsyncIterator[Behind]:
    base = Script(STEPS, answer="12", scores=[9, 9, 2, 9])
    async with (
        scripted_pair(base, Script(WRONG), template="think") as servers,
        behind_proxies(servers.config, timeout=1.2 if kind == "stall" else 20.0, patience=patience) as (
            proxies,
            config,
        ),
        Pair(config) as pair,
    ):
        graph = create_specreason(pair=pair, settings=Settings(judge="paper")).compile(checkpointer=InMemorySaver())
        yield Behind(graph, proxies)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda it: f"{it.kind}-{it.after}")
@pytest.mark.parametrize("role", ["base", "draft"])
async def test_a_fault_that_stays_ends_a_run_with_its_steps_and_it_goes_on(
    fault: WireFault, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards everything finished: an error is one of ours, holds it, and nothing is done twice when it is over."""
    for name in ("breaker._FIRST", "breaker._LONGEST", "failures.SILENCE"):
        monkeypatch.setattr(f"specreason_graph.endpoint.{name}", 0.05)
    async with behind(fault.kind) as it:
        kept, error = await it.run(fault, role, None)
        assert kept == STEPS[: len(kept)]
        assert kept, repr(error)
        if error is None:
            assert kept == STEPS
            return
        assert isinstance(error, SpecReasonError), repr(error)
        assert [step["text"].strip() for step in error.steps] == kept
        it.proxies[role].heal()
        await asyncio.sleep(0.1)
        await it.graph.ainvoke(None, THREAD)
        assert await it.kept() == STEPS


@pytest.mark.parametrize("role", ["base", "draft"])
@pytest.mark.parametrize("kind", ["refuse", "reset", "stall", "truncate", "garbage", "status"])
async def test_a_stream_that_breaks_once_is_not_seen_in_a_run(kind: WireFaultKind, role: str) -> None:
    """Guards transcripts: they are those of servers without faults."""
    async with behind(kind) as it:
        kept, error = await it.run(WireFault(kind, after=None if kind == "refuse" else 2), role, 1)
        assert (kept, error) == (STEPS, None)


@pytest.mark.parametrize("role", ["base", "draft"])
async def test_a_server_that_restarts_in_the_middle_of_a_run(role: str) -> None:
    """Guards deployments: connections drop, nothing answers for a while, and the run comes to its answer."""
    async with behind(patience=10.0) as it:
        proxy = it.proxies[role]
        restarting: list[asyncio.Task[None]] = []
        async for event in it.graph.astream(QUESTION, THREAD, stream_mode="custom"):
            if event["event"] == "step_accepted" and not restarting:
                restarting.append(asyncio.create_task(proxy.restart(0.5)))
        await restarting[0]
        assert await it.kept() == STEPS


async def test_streams_that_break_in_every_way_and_servers_that_restart() -> None:
    """The run that real servers are put through, too."""
    base = Script(STEPS, answer="12", scores=[9, 9, 2, 9])
    async with scripted_pair(base, Script(WRONG), template="think") as servers:
        state, sent = await struck(servers.config, "How many legs have 3 cows?", Settings(judge="paper"))
    assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
    assert state["specreason_answer"] == "12"
    assert min(sent.values()) >= 5
