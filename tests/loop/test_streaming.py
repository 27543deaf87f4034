"""What is streamed beside messages, on the graph and through a parent, and the shapes of it."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
import pytest_asyncio
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, Send
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from specreason_graph import Pair, Settings, create_specreason, specreason_node
from specreason_graph.contract.events import Event
from specreason_graph.testing import Script, scripted_pair

RIGHT = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", "So 12."]
QUESTION: Any = {"messages": [("user", "How many legs have 3 cows?")]}
THREAD: Any = {"configurable": {"thread_id": "t"}, "recursion_limit": 200}
FORMS = ["graph", "subgraph", "node"]


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    base = Script(RIGHT, answer="12 legs", scores=[9, 3, 9])
    async with scripted_pair(base, Script(WRONG), template="think") as servers, Pair(servers.config) as pair:
        yield pair


def built(pair: Pair, form: str) -> Any:
    graph = create_specreason(pair=pair, settings=Settings(ask_band=(3, 3))).compile(
        checkpointer=InMemorySaver() if form == "graph" else None
    )
    if form == "graph":
        return graph
    parent = StateGraph(MessagesState)
    parent.add_node("reason", graph if form == "subgraph" else specreason_node(graph))
    parent.add_edge(START, "reason")
    return parent.compile(checkpointer=InMemorySaver())


async def streamed(graph: Any, mode: str) -> list[tuple[tuple[str, ...], Any]]:
    """What a run tells in one mode, the answer of a person included."""
    parts: list[tuple[tuple[str, ...], Any]] = []
    given: Any
    for given in (QUESTION, Command(resume={"decision": "reject"})):
        async for part in graph.astream(given, THREAD, stream_mode=mode, subgraphs=True, version="v2"):
            parts.append((part["ns"], part["data"]))
    return parts


@pytest.mark.parametrize("form", FORMS)
async def test_custom_tells_every_event_once_in_its_documented_shape(pair: Pair, form: str) -> None:
    """Guards consumers: the schema is strict, so an event with a key too few or too many fails here."""
    known = TypeAdapter(Event, config={"extra": "forbid"})
    events = [known.validate_python(event, strict=True) for _, event in await streamed(built(pair, form), "custom")]
    assert [event["event"] for event in events if event["event"] != "answer_token"] == [
        *("step_drafted", "step_judged", "step_accepted"),
        *("step_drafted", "step_judged", "step_unsure", "step_rejected", "step_regenerated"),
        *("step_drafted", "step_judged", "step_accepted"),
        "reasoning_ended",
    ]
    assert "".join(event["text"] for event in events if event["event"] == "answer_token") == "12 legs"


@pytest.mark.parametrize("form", FORMS)
async def test_updates_tell_what_each_node_changed(pair: Pair, form: str) -> None:
    updates = [
        (name, update) for ns, data in await streamed(built(pair, form), "updates") for name, update in data.items()
    ]
    loop = [name for name, _ in updates if name in ("draft_step", "judge", "regenerate", "finalize")]
    assert loop == [
        *("draft_step", "judge"),
        *("draft_step", "judge", "judge", "regenerate"),
        *("draft_step", "judge", "finalize"),
    ]
    kept = [update.get("specreason_steps", []) for name, update in updates if name in ("judge", "regenerate")]
    assert [step["text"].strip() for steps in kept for step in steps] == RIGHT


@pytest.mark.parametrize("form", FORMS)
async def test_values_are_whole_states(pair: Pair, form: str) -> None:
    parts = await streamed(built(pair, form), "values")
    inside = [values for ns, values in parts if bool(ns) == (form != "graph") and "specreason_steps" in values]
    counts = [len(values["specreason_steps"]) for values in inside]
    assert counts == sorted(counts)
    assert inside[-1]["specreason_answer"] == "12 legs"
    assert parts[-1][1]["messages"][-1].text == "12 legs"


@pytest.mark.parametrize("form", FORMS)
async def test_every_event_and_interrupt_says_whose_it_is(pair: Pair, form: str) -> None:
    graph = built(pair, form)
    events = [event for _, event in await streamed(graph, "custom")]
    [run] = {event["run"] for event in events}
    assert {event["question"] for event in events} == {"How many legs have 3 cows?"}
    if form == "graph":
        assert (await graph.aget_state(THREAD)).values["specreason_run"]["id"] == run


class Questions(TypedDict):
    questions: list[str]
    answers: Annotated[list[str], operator.add]


async def test_runs_side_by_side_are_told_apart(pair: Pair) -> None:
    """Of a fan-out, all comes in one stream: events, and what waits for a person."""
    solve = specreason_node(
        create_specreason(pair=pair, settings=Settings(ask_band=(3, 3))).compile(),
        question=lambda state: state["question"],
        answer=lambda result: {"answers": [result["specreason_answer"]]},
    )
    parent = StateGraph(Questions)
    parent.add_node("solve", solve)
    parent.add_conditional_edges(
        START, lambda state: [Send("solve", {"question": asked}) for asked in state["questions"]], ["solve"]
    )
    graph = parent.compile(checkpointer=InMemorySaver())
    asked = ["How many legs have 3 cows?", "How many legs have 4 hens, " + "and why? " * 20]
    given: Any = {"questions": asked, "answers": []}
    events = [event async for event in graph.astream(given, THREAD, stream_mode="custom")]
    waiting = [interrupt.value for interrupt in (await graph.aget_state(THREAD)).interrupts]
    for run in {event["run"] for event in events}:
        own = [event["event"] for event in events if event["run"] == run]
        assert own == [
            *("step_drafted", "step_judged", "step_accepted"),
            *("step_drafted", "step_judged", "step_unsure"),
        ]
    runs = {event["run"]: event["question"] for event in events}
    assert sorted(runs.values()) == sorted(text[:100] for text in asked)
    assert {question["run"]: question["question"] for question in waiting} == runs
