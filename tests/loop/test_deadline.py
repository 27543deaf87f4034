"""The clock starts before anything is awaited, and bounds every request of a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import Pair, Settings, create_specreason, edited
from specreason_graph.loop.clock import ABORT
from specreason_graph.testing import Fault, Pace, Record, Script, ScriptedServer, scripted_pair

STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 6)]
QUESTION: Any = {"messages": [HumanMessage("How much is it?")]}
SETTINGS = Settings(deadline=1.0, answer_reserve=0.4)
NEVER = 30.0  # seconds: a run that waits for such an answer has passed any deadline


BUSY = 5.0
"""Seconds that a busy machine may take for all else; far fewer than `NEVER`."""


class Slow(ScriptedServer):
    """A server that takes its time with some requests."""

    slow: Callable[[Record], bool] = staticmethod(lambda record: False)

    async def _answer(self, http: web.Request, record: Record) -> web.StreamResponse:
        if self.slow(record):
            await asyncio.sleep(NEVER)
        return await super()._answer(http, record)


def slow(steps: list[str], model: str, condition: Callable[[Record], bool] | None = None, **options: Any) -> Slow:
    it = Slow(Script(steps, answer="12", **options), template="think", model=model)
    if condition is not None:
        it.slow = condition
    return it


CASES: dict[str, Callable[[Record], bool]] = {
    "the model list": lambda record: record.path == "/v1/models",
    "the question's rendering": lambda record: "messages" in record.body,
    "every judge": lambda record: record.path == "/v1/completions" and not record.body.get("stream"),
    "every stream": lambda record: bool(record.body.get("stream")),
}


@pytest.mark.parametrize("role", ["base", "draft"])
@pytest.mark.parametrize("case", CASES)
async def test_no_request_outlives_the_deadline(case: str, role: str) -> None:
    condition = CASES[case]
    base = slow(STEPS, "scripted-base", condition if role == "base" else None)
    draft = slow(STEPS, "scripted-draft", condition if role == "draft" else None)
    async with scripted_pair(base, draft) as servers:
        async with Pair(servers.config) as pair:
            began = time.perf_counter()
            state = await create_specreason(pair=pair).compile().ainvoke(QUESTION, context=SETTINGS)
            took = time.perf_counter() - began
        await asyncio.sleep(0.1)  # the servers see the connections closed
    if (case, role) == ("every judge", "draft"):
        assert state["specreason_answer"] == "12"  # the draft judges nothing
        return
    # Base writes but the answer there; whether the draft was done before the deadline is the machine's matter.
    ends = {"deadline", "finished"} if (case, role) == ("every stream", "base") else {"deadline"}
    assert state["specreason_ended"] in ends
    assert state["specreason_done"]
    assert [message.type for message in state["messages"]] == ["human", "ai"]
    assert took < 1.0 + 2 * ABORT + BUSY, "it did not wait for the answer"
    assert state["specreason_seconds"] == pytest.approx(took, abs=BUSY)


async def test_a_judge_that_is_late_leaves_the_reserve_to_the_answer() -> None:
    base = slow(STEPS, "scripted-base", CASES["every judge"])
    async with scripted_pair(base, Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        state = await create_specreason(pair=pair).compile().ainvoke(QUESTION, context=SETTINGS)
    assert (state["specreason_ended"], state["specreason_answer"]) == ("deadline", "12")
    used = state["specreason_usage"]["draft"]
    assert used["completion_tokens"] - used["discarded_tokens"] <= 1  # nothing that was drafted is kept


async def test_a_server_that_ignores_stop_is_stopped_in_time() -> None:
    """It would write on to its context's end; what it wrote for nobody is counted."""
    one = " ".join(STEPS) + " " + " ".join(f"and {n}" for n in range(300))
    draft = ScriptedServer(
        Script([*STEPS[:1], one]), template="think", model="scripted-draft", pace=Pace(seconds_per_token=0.004)
    )
    draft.fail(Fault("ignores_stop"), times=None)
    async with scripted_pair(Script(STEPS), draft, template="think") as servers, Pair(servers.config) as pair:
        settings = Settings(look_ahead=False, hedge=False, max_steps=1, deadline=20.0)
        state = await create_specreason(pair=pair).compile().ainvoke(QUESTION, context=settings)
        await servers.draft.idle()
        written = sum(record.tokens for record in servers.draft.completions)
    used, kept = state["specreason_usage"]["draft"], state["specreason_steps"][0]["draft_tokens"]
    assert state["specreason_steps"][0]["text"] == STEPS[0] + "\n\n"
    assert used["completion_tokens"] == kept + used["discarded_tokens"]
    assert written < 3 * kept


async def test_a_resumed_run_with_no_time_left_ends_without_an_answer() -> None:
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_before=["judge"])
        thread: Any = {"configurable": {"thread_id": "t"}}
        await graph.ainvoke(QUESTION, thread)
        graph.interrupt_before_nodes = []
        state = await graph.ainvoke(None, thread, context=Settings(deadline=0.001, answer_reserve=0.0))
    assert (state["specreason_ended"], state["specreason_answer"]) == ("deadline", None)
    assert state["messages"][-1].response_metadata["finish_reason"] == "length"


async def test_an_edit_that_comes_too_late_leaves_a_thread_that_can_be_asked_again() -> None:
    """The run is answered as it was; the edit is not made, and no later question meets it."""
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_after=["judge"])
        thread: Any = {"configurable": {"thread_id": "t"}}
        await graph.ainvoke(QUESTION, thread)
        fork = await graph.aupdate_state(thread, edited(0, "Another step."), as_node="judge")
        graph.interrupt_after_nodes = []
        for server in (servers.base, servers.draft):
            server.fail(Fault("hang"), path="/tokenize", times=None)
        late = await graph.ainvoke(None, fork, context=Settings(deadline=0.6, answer_reserve=0.3))
        assert (late["specreason_ended"], late["specreason_steps"]) == ("deadline", []), "nothing of what was changed"
        for server in (servers.base, servers.draft):
            server._faults.clear()
        again: Any = {"messages": [("user", "And now?")]}
        state = await graph.ainvoke(again, thread)
    assert state["specreason_ended"] == "finished"
    assert len(state["specreason_steps"]) == len(STEPS)


async def test_a_new_question_that_is_late_has_nothing_of_the_one_before() -> None:
    """Also where it came while the answer was waiting."""
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_before=["finalize"])
        thread: Any = {"configurable": {"thread_id": "t"}}
        await graph.ainvoke(QUESTION, thread)
        await graph.aupdate_state(thread, {"messages": [HumanMessage("In French, please.")]})
        graph.interrupt_before_nodes = []
        servers.base.fail(Fault("hang"), path="/tokenize", times=None)
        state = await graph.ainvoke(None, thread, context=Settings(deadline=0.6, answer_reserve=0.3))
    assert (state["specreason_steps"], state["specreason_answer"]) == ([], None)
    assert "reasoning_content" not in state["messages"][-1].additional_kwargs


async def test_a_look_up_that_hangs_leaves_the_reserve_to_the_answer() -> None:
    """Also one in the middle of a node: what the draft's marker is, once in the life of a pair."""
    draft = slow(STEPS, "scripted-draft", lambda record: record.body.get("prompt") == "</think>")
    async with scripted_pair(Script(STEPS, answer="12"), draft, template="think") as servers:
        async with Pair(servers.config) as pair:
            state = await create_specreason(pair=pair).compile().ainvoke(QUESTION, context=SETTINGS)
        await asyncio.sleep(0.1)
    assert (state["specreason_ended"], state["specreason_answer"]) == ("deadline", "12")


async def test_what_the_graph_takes_between_two_nodes_counts() -> None:
    """A checkpointer that is slow is a part of what a user waits for."""

    class Late(InMemorySaver):
        async def aput(self, *args: Any, **kwargs: Any) -> Any:
            await asyncio.sleep(0.05)
            return await super().aput(*args, **kwargs)

    many = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 200)]
    async with scripted_pair(Script(many), Script(many), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=Late())
        thread: Any = {"configurable": {"thread_id": "t"}, "recursion_limit": 2000}
        began = time.perf_counter()
        state = await graph.ainvoke(QUESTION, thread, context=SETTINGS, durability="sync")
        took = time.perf_counter() - began
    assert state["specreason_ended"] == "deadline"
    assert took < 1.0 + 2 * ABORT + BUSY
