"""Every request of a run goes to the server that has read the earlier ones, and says which run it is of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import EndpointConfig, Pair, PairConfig, Settings, create_specreason
from specreason_graph.testing import Record, Script, ScriptedServer

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
SEQUENTIAL = Settings(hedge=False, look_ahead=False)  # else what is asked depends on who is first
PAPER = SEQUENTIAL.overridden(by={"judge": "paper", "threshold": 7})


@dataclass(frozen=True)
class Fleet:
    """Servers of both models."""

    base: list[ScriptedServer]
    draft: list[ScriptedServer]

    @property
    def config(self) -> PairConfig:
        base, draft = (
            EndpointConfig(base_url=first.url, replicas=tuple(server.url for server in others))
            for first, *others in (self.base, self.draft)
        )
        return PairConfig(base=base, draft=draft, preset="thinking")

    @property
    def used(self) -> list[ScriptedServer]:
        """Those that wrote or read anything."""
        return [server for server in [*self.base, *self.draft] if server.completions]

    @property
    def completions(self) -> list[Record]:
        return [record for server in self.used for record in server.completions]


@asynccontextmanager
async def fleet(base: int = 3, draft: int = 2) -> AsyncIterator[Fleet]:
    big, small = Script(STEPS, answer="It is 12.", scores=[9, 3, 9]), Script(STEPS)
    servers = Fleet(
        [ScriptedServer(big, template="think") for _ in range(base)],
        [ScriptedServer(small, template="think") for _ in range(draft)],
    )
    async with AsyncExitStack() as stack:
        for server in [*servers.base, *servers.draft]:
            await stack.enter_async_context(server)
        yield servers


def question(number: int = 3) -> Any:
    return {"messages": [("user", f"How many legs have {number} cows?")]}


def costs(servers: list[ScriptedServer]) -> list[list[tuple[int, int]]]:
    return [[(sum(map(len, r.prompts)), r.cached_tokens) for r in server.completions] for server in servers]


async def test_a_run_keeps_to_one_server_a_role_and_reuses_as_much_as_if_there_were_no_other() -> None:
    """Else draft, judge, regenerate and answer would each read the whole reasoning anew."""
    spent = []
    for base, draft in ((1, 1), (3, 2)):
        async with fleet(base, draft) as servers, Pair(servers.config) as pair:
            state = await create_specreason(pair=pair).compile().ainvoke(question(), context=PAPER)
            assert state["specreason_answer"] == "It is 12."
            assert len(servers.used) == 2
            spent.append(costs(servers.used))
    assert spent[1] == spent[0]
    assert all(sum(cached for _, cached in role) for role in spent[1])


async def test_runs_spread_over_the_servers() -> None:
    async with fleet(2, 2) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile()
        for number in range(25):
            await graph.ainvoke(question(number), context=PAPER)
        assert len(servers.used) == 4


async def test_a_resumed_run_comes_back_to_its_server() -> None:
    """With other clients, as in another process."""
    saver, thread = InMemorySaver(), {"configurable": {"thread_id": "t"}}
    async with fleet() as servers:
        used = []
        for asks, pause in ((question(), ["judge"]), (None, [])):
            async with Pair(servers.config) as pair:
                graph: Any = create_specreason(pair=pair).compile(checkpointer=saver, interrupt_after=pause)
                state = await graph.ainvoke(asks, thread, context=PAPER)
            used.append(servers.used)
        assert state["specreason_done"]
        assert used[0] == used[1]


@pytest.mark.parametrize("count", [1, 2])
async def test_every_request_of_a_run_names_its_session(count: int) -> None:
    """A router has nothing else to go by: prompts are ids, and what looks for text in them finds none."""
    sessions = []
    for number in (3, 4):
        async with fleet(count, count) as servers, Pair(servers.config) as pair:
            await create_specreason(pair=pair).compile().ainvoke(question(number), context=PAPER)
            sessions.append({record.session for record in servers.completions})
    first, second = (names.pop() for names in sessions)
    assert not any(sessions)
    assert first != second
    assert first is not None
    assert first.isalnum()  # a hash, and nothing of the question itself


async def test_what_is_known_of_the_servers_is_shared_by_all_runs() -> None:
    """Each node of each run has a view of its own, and a request more a node would cost more than a judge call."""
    base, draft = (ScriptedServer(Script(STEPS, answer="It is 12."), template="think", scale_out=True) for _ in "bd")
    async with base, draft, Pair(PairConfig(base=base.config, draft=draft.config, preset="thinking")) as pair:
        graph = create_specreason(pair=pair).compile()
        for _ in range(2):
            before = len(base.requests), len(draft.requests)
            await graph.ainvoke(question(), context=SEQUENTIAL.overridden(by={"judge": "likelihood"}))
        again = [*base.requests[before[0] :], *draft.requests[before[1] :]]
        assert {record.path for record in again} == {"/v1/completions", "/inference/v1/generate", "/tokenize"}
        assert [record.path for record in again].count("/tokenize") == 2  # the question, by each model
        assert {record.session for record in again} == {again[0].session}


async def test_a_server_that_is_down_from_the_start_is_done_without() -> None:
    async with fleet(2, 1) as servers, Pair(servers.config) as pair:
        await servers.base[0].__aexit__(None, None, None)
        graph = create_specreason(pair=pair).compile()
        for number in range(8):
            state = await graph.ainvoke(question(number), context=PAPER)
            assert state["specreason_answer"] == "It is 12."


async def test_servers_that_die_in_the_middle_of_a_run_cost_no_step() -> None:
    async with fleet() as servers, Pair(servers.config) as pair:
        gone: list[ScriptedServer] = []
        graph: Any = create_specreason(pair=pair).compile()
        async for mode, data in graph.astream(question(), context=PAPER, stream_mode=["custom", "values"]):
            if mode == "values":
                state = data
            elif data["event"] == "step_accepted" and not gone:
                gone = servers.used
                for server in gone:
                    await server.__aexit__(None, None, None)
        assert len(gone) == 2
        assert len(servers.used) == 4
        assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
        assert state["specreason_answer"] == "It is 12."
        assert state["specreason_usage"]["draft"]["requests"] == len(STEPS)
