"""What is held between two nodes: found by the next one, stopped and paid for when none comes, gone at the end."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections import Counter
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from serving import in_a_thread

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.generation.live import TICK, TICKS, LiveRuns
from specreason_graph.testing import Pace, Script, ScriptedPair, ScriptedServer, scripted_pair

STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 7)]
LONG = [f"Step {n}: {' '.join(str(n * k) for k in range(1, 25))}." for n in range(1, 6)]
QUESTION: Any = {"messages": [HumanMessage("How much is it?", id="q")]}


def question(number: int) -> Any:
    return {"messages": [("user", f"Question {number}?")]}


LATE = TICK * (TICKS + 2)


class Turns:
    """A pace by turns of the event loop: however busy the machine is, a token is read before the next one is due."""

    at_once = 1

    def begin(self, uncached: int, sequences: int, *, place: int = 0, ago: float = 0.0) -> Turns:
        return self

    async def until(self, token: int, *, last: int | None) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    def close(self) -> None:
        """Nobody waits."""


def server(steps: list[str], role: str, pace: Pace | Turns | None = None, **script: Any) -> ScriptedServer:
    return ScriptedServer(Script(steps, answer="72", **script), template="think", model=f"scripted-{role}", pace=pace)


def written(servers: ScriptedPair) -> dict[str, tuple[int, int, int]]:
    """What the servers say: tokens written, prompt tokens and requests, by role's server."""
    return {
        server.config.model or "": (
            sum(record.tokens for record in server.completions),
            sum(len(prompt) for record in server.completions for prompt in record.prompts),
            len(server.completions),
        )
        for server in (servers.base, servers.draft)
    }


@pytest.mark.parametrize("pause", [0.0, LATE], ids=["at once", "after the lease"])
async def test_what_a_late_node_lost_is_in_the_usage(pause: float) -> None:
    """A slow reader of the stream, or a slow checkpointer: streams end with their lease, and somebody paid for them."""
    pace = Turns()
    base, draft = server(STEPS, "base", pace, scores=[9, 9, 2, 9]), server(STEPS, "draft", pace)
    async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
        usage: dict[str, Any] = {}
        async for update in create_specreason(pair=pair).compile().astream(QUESTION, stream_mode="updates"):
            usage = next(iter(update.values()))["specreason_usage"]
            await asyncio.sleep(pause)
        truth = written(servers)
    told = {
        f"scripted-{role}": tuple(sum(usage[part][key] for part in parts) for key in _COUNTS)
        for role, parts in {"base": ("base", "judge"), "draft": ("draft",)}.items()
    }
    for model, (tokens, prompts, requests) in truth.items():
        assert told[model][1:] == (prompts, requests)
        # A token that is on its way when a stream is stopped reaches nobody.
        assert 0 <= tokens - told[model][0] <= requests


_COUNTS = ("completion_tokens", "prompt_tokens", "requests")


@pytest.mark.parametrize("look_ahead", [True, False])
async def test_every_token_is_kept_or_discarded(look_ahead: bool) -> None:
    """Also those of a step that was written ahead and is longer than a step may be."""
    base, draft = server(LONG, "base", Pace(ttft=0.2)), server(LONG, "draft", Pace(seconds_per_token=0.001))
    async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
        settings = Settings(max_steps=4, step_tokens=30, look_ahead=look_ahead, hedge=False)
        state = await create_specreason(pair=pair, settings=settings).compile().ainvoke(QUESTION)
    used = state["specreason_usage"]["draft"]
    kept = sum(step["draft_tokens"] for step in state["specreason_steps"])
    assert used["completion_tokens"] == kept + used["discarded_tokens"]


async def test_nothing_is_kept_of_a_run_that_is_over() -> None:
    async with scripted_pair(server(STEPS, "base"), server(STEPS, "draft")) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile()
        await asyncio.gather(*(graph.ainvoke(question(n)) for n in range(20)))
        assert len(pair.live) == 0
        assert pair.live.load.hedges == 0


async def test_a_question_is_rendered_once_a_run_however_many_there_are() -> None:
    """A cache of so many questions has a cliff: one more, and every node of every run renders its own anew."""
    steps = STEPS[:2]
    async with scripted_pair(server(steps, "base"), server(steps, "draft")) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile()
        await graph.ainvoke(QUESTION)
        for it in (servers.base, servers.draft):
            it.requests.clear()
        await asyncio.gather(*(graph.ainvoke(question(n)) for n in range(150)))
        paths = Counter(record.path for it in (servers.base, servers.draft) for record in it.requests)
    assert paths["/tokenize"] == 2 * 150
    assert set(paths) == {"/tokenize", "/v1/completions"}


async def test_many_runs_that_begin_together_look_things_up_once() -> None:
    """On a pair that knows nothing yet, fifty runs would ask fifty times for the model, the labels, the markers."""
    steps = STEPS[:2]
    async with scripted_pair(server(steps, "base"), server(steps, "draft")) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile()
        await asyncio.gather(*(graph.ainvoke(question(n)) for n in range(50)))
        for it in (servers.base, servers.draft):
            paths = Counter(record.path for record in it.requests)
            assert paths["/v1/models"] == 1
            assert paths["/tokenize"] < 50 + 30
            asked = [record.body["tokens"] for record in it.requests if record.path == "/detokenize"]
            assert len(asked) == len(set(map(tuple, asked)))


async def test_samples_of_one_question_are_runs_of_their_own() -> None:
    """Self-consistency: they neither share a ledger nor push each other's out, and routers may spread them."""
    async with scripted_pair(server(STEPS, "base"), server(STEPS, "draft")) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile()
        states = await asyncio.gather(*(graph.ainvoke(QUESTION, context=Settings(seed=n)) for n in range(8)))
        assert len({state["specreason_run"]["id"] for state in states}) == 8
        assert len({record.session for record in servers.base.completions}) == 8


def paused(servers: ScriptedPair, pair: Pair, threads: int) -> Any:
    """So many runs, each in an event loop of its own that ends while the run waits."""
    graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_after=["draft_step"])
    for number in range(threads):
        asyncio.run(graph.ainvoke(QUESTION, {"configurable": {"thread_id": str(number)}}))
    return graph


def test_leases_of_event_loops_that_ended_are_swept() -> None:
    """They neither pile up nor count as hedges for ever; and such a run goes on in another loop."""
    with in_a_thread(server(STEPS, "base"), server(STEPS, "draft")) as servers:
        pair = Pair(servers.config)
        graph = paused(servers, pair, threads=40)
        assert len(pair.live) <= 3
        assert pair.live.load.hedges == 0
        graph.interrupt_after_nodes = []
        state = asyncio.run(graph.ainvoke(None, {"configurable": {"thread_id": "39"}}))
        assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS


async def test_a_lease_is_claimed_once() -> None:
    """A fork of the thread that comes second finds nothing, and builds anew."""
    runs = LiveRuns()
    lease = runs.park(runs.begin())
    assert runs.claim(lease) is not None
    assert runs.claim(lease) is None
    assert runs.claim(None) is None


def test_a_lease_of_another_loop_that_runs_is_left_alone() -> None:
    """Its streams can't be read from here."""
    runs = LiveRuns()
    parked: list[str] = []
    ready, done = threading.Event(), threading.Event()

    async def other() -> None:
        parked.append(runs.park(runs.begin()))
        ready.set()
        await asyncio.to_thread(done.wait)

    async def here() -> None:
        assert runs.claim(parked[0]) is None

    thread = threading.Thread(target=asyncio.run, args=(other(),))
    thread.start()
    ready.wait()
    asyncio.run(here())
    done.set()
    thread.join()


async def test_what_is_parked_holds_nothing_of_the_node_that_left_it() -> None:
    """Graph, saver and state are in a node's context: minutes of them would be kept for each run that is left."""

    class Held:
        pass

    runs, holding = LiveRuns(), ContextVar[Held]("holding")

    def node() -> weakref.ref[Held]:
        held = Held()
        holding.set(held)
        runs.park(runs.begin())
        return weakref.ref(held)

    left = copy_context().run(node)
    gc.collect()
    assert left() is None


async def test_a_run_between_two_nodes_is_at_work_until_nobody_comes_for_it() -> None:
    runs = LiveRuns()
    leases = [runs.park(runs.begin()) for _ in range(3)]
    assert runs.seen().runs == 3
    runs.claim(leases[0])
    assert runs.seen().runs == 2
    async with asyncio.timeout(30):
        while runs.seen().runs != 1:  # who asks  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(TICK)
