"""What goes on without the draft, and without a judge that can be read; and what does not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, PairConfig, Settings, create_specreason
from specreason_graph.contract.errors import EndpointError, EndpointRefused, MalformedResponse, SpecReasonError
from specreason_graph.testing import Fault, Pace, Script, ScriptedServer
from specreason_graph.testing.pair import ScriptedPair, scripted_pair
from specreason_graph.testing.tokenizer import TokenizerName

QUESTION: Any = {"messages": [HumanMessage("How many legs have 3 cows?")]}
STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 6)]
GONE = Fault("close")


def server(role: str, tokenizer: TokenizerName = "a") -> ScriptedServer:
    """Base takes its time, so that a test has some between two steps."""
    pace = Pace(seconds_per_token=0.004 if role == "base" else 0.0)
    script = Script(STEPS, answer="12")
    return ScriptedServer(script, template="think", model=f"scripted-{role}", tokenizer=tokenizer, pace=pace)


@asynccontextmanager
async def running(draft: ScriptedServer | None = None, **settings: Any) -> AsyncIterator[tuple[ScriptedPair, Any]]:
    async with scripted_pair(server("base"), draft or server("draft")) as servers, Pair(impatient(servers)) as pair:
        yield servers, create_specreason(pair=pair, settings=Settings(**settings)).compile()


def impatient(servers: ScriptedPair) -> PairConfig:
    """So that what is gone is not waited for."""
    ends = {role: getattr(servers.config, role).model_copy(update={"patience": 0.1}) for role in ("base", "draft")}
    return servers.config.model_copy(update=ends)


def kept_in(update: dict[str, Any]) -> list[Any]:
    """The steps that an update of a node adds."""
    steps = next(iter(update.values())).get("specreason_steps", [])
    return steps if isinstance(steps, list) else []


def texts(found: dict[str, Any]) -> list[str]:
    return [step["text"].strip() for step in found["specreason_steps"]]


async def test_a_draft_that_was_never_there_leaves_base_alone() -> None:
    """The answer comes, and the reply says how."""
    async with running() as (servers, graph):
        servers.draft.fail(GONE, path=None, times=None)
        found = await graph.ainvoke(QUESTION)
    assert texts(found) == STEPS
    assert {step["gate"]["why"] for step in found["specreason_steps"]} == {"draft_gone"}
    assert found["messages"][-1].text == "12"
    assert found["messages"][-1].response_metadata["specreason"]["without_draft"] == len(STEPS)


async def test_each_step_without_a_draft_is_told() -> None:
    async with running() as (servers, graph):
        servers.draft.fail(GONE, path=None, times=None)
        told = [event async for event in graph.astream(QUESTION, stream_mode="custom")]
    assert [event["index"] for event in told if event["event"] == "draft_gone"] == list(range(len(STEPS)))


@pytest.mark.parametrize("tokenizer", ["a", "b"])
async def test_a_draft_that_comes_back_drafts_again(tokenizer: TokenizerName, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the steps that base wrote meanwhile, in its own tokens."""
    monkeypatch.setattr("specreason_graph.endpoint.breaker._FIRST", 0.0)  # each step looks
    monkeypatch.setattr("specreason_graph.endpoint.breaker._LONGEST", 0.0)
    async with running(server("draft", tokenizer), look_ahead=False) as (servers, graph):
        found: dict[str, Any] = {}
        async for update in graph.astream(QUESTION, stream_mode="updates"):
            found |= next(iter(update.values()))
            kept = kept_in(update)
            if kept and kept[0]["index"] == 0:
                servers.draft.fail(GONE, path=None, times=None)
            if kept and kept[0]["index"] == 2:
                servers.draft._faults.clear()
        state = found["messages"][-1].response_metadata["specreason"]
    assert state["steps"] == len(STEPS)
    assert 1 <= state["without_draft"] < len(STEPS) - 1
    assert found["specreason_answer"] == "12"


async def test_a_draft_that_dies_in_mid_step_leaves_that_step_to_base() -> None:
    async with running(look_ahead=False) as (servers, graph):
        servers.draft.fail(Fault("status", status=500, after=3))
        found = await graph.ainvoke(QUESTION)
    assert texts(found) == STEPS
    assert [step["gate"]["why"] == "draft_gone" for step in found["specreason_steps"]].count(True) == 1


def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(*_: Any, **__: Any) -> Any:
        raise MalformedResponse("base endpoint: answers in another shape")

    monkeypatch.setattr("specreason_graph.endpoint.vllm.VllmEndpoint.read", read)


async def test_a_judge_that_can_not_be_read_is_a_reject(monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable(monkeypatch)
    async with running() as (_, graph):
        found = await graph.ainvoke(QUESTION)
    assert texts(found) == STEPS
    assert {step["reject_reason"] for step in found["specreason_steps"]} == {"unusable"}


async def test_a_setting_makes_them_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(degrade=False) as (servers, graph):
        servers.draft.fail(GONE, times=None)
        with pytest.raises(EndpointError, match="draft endpoint"):
            await graph.ainvoke(QUESTION)
    async with running(degrade=False) as (_, graph):
        unreadable(monkeypatch)
        with pytest.raises(MalformedResponse):
            await graph.ainvoke(QUESTION)


async def test_a_key_that_is_refused_is_an_error_of_ours_at_any_rate() -> None:
    """Nobody would notice otherwise that the draft's key is wrong."""
    async with running() as (servers, graph):
        servers.draft.fail(Fault("status", status=401), times=None)
        with pytest.raises(EndpointRefused, match="api_key"):
            await graph.ainvoke(QUESTION)


@pytest.mark.parametrize("times", [None, 1], ids=["for good", "once"])
@pytest.mark.parametrize("tokenizer", ["a", "b"])
@pytest.mark.parametrize("answer_by", ["base", "draft"])
async def test_a_draft_that_fails_at_any_look_up_leaves_base_alone(
    answer_by: str, tokenizer: TokenizerName, times: int | None
) -> None:
    """At its card, the question in its tokens, how it spells a text, what asks for the answer: none mixes up ids."""
    draft = server("draft", tokenizer)
    async with running(draft, answer_by=answer_by) as (_, graph):
        await graph.ainvoke(QUESTION)
    looked_up = sum(record.path == "/tokenize" for record in draft.requests)
    assert looked_up > 3
    for before in range(looked_up):
        async with running(server("draft", tokenizer), answer_by=answer_by) as (servers, graph):
            for _ in range(before):
                servers.draft.fail(Fault("no_usage"), path="/tokenize")  # which none of these has
            servers.draft.fail(Fault("malformed"), path="/tokenize", times=times)
            found = await graph.ainvoke(QUESTION)
            spell = servers.base.model.tokenizer.spell
            assert (texts(found), found["specreason_answer"]) == (STEPS, "12"), before
            assert [spell(step["ids"]["base"]).decode().strip() for step in found["specreason_steps"]] == STEPS, before


ANSWER = "There are 12 legs on 3 cows 🐄 in all."


async def answered(fault: Fault, draft: ScriptedServer, **settings: Any) -> tuple[dict[str, Any], list[Any]]:
    """A run whose draft meets a fault while it answers, and its events."""
    base = ScriptedServer(Script(STEPS, answer=ANSWER), template="think", model="scripted-base")
    found, events = {}, []
    async with scripted_pair(base, draft) as servers, Pair(impatient(servers)) as pair:
        settings = {"answer_by": "draft", "look_ahead": False, **settings}
        graph = create_specreason(pair=pair, settings=Settings(**settings)).compile()
        async for mode, part in graph.astream(QUESTION, stream_mode=["custom", "values"]):
            if mode == "values":
                found = part
            else:
                events.append(part)
                if part["event"] == "reasoning_ended":
                    draft.fail(fault, times=None)
    return found, events


def answering(tokenizer: TokenizerName) -> ScriptedServer:
    return ScriptedServer(Script(STEPS, answer=ANSWER), template="think", model="scripted-draft", tokenizer=tokenizer)


@pytest.mark.parametrize("tokenizer", ["a", "b"])
@pytest.mark.parametrize("after", [None, 0, 1, 4, 7, 9, 11, 14])
async def test_a_draft_that_dies_in_its_answer_leaves_the_rest_to_base(
    after: int | None, tokenizer: TokenizerName
) -> None:
    """Behind what was told, in its own tokens, inside a word or a character, too; and it is said who answered."""
    found, events = await answered(Fault("status", status=500, after=after), answering(tokenizer))
    assert found["specreason_answer"] == ANSWER
    assert "".join(event["text"] for event in events if event["event"] == "answer_token") == ANSWER
    assert [event["index"] for event in events if event["event"] == "draft_gone"] == [len(STEPS)]
    assert found["specreason_gate"] == {"level": "base", "why": "draft_gone"}
    about = found["messages"][-1].response_metadata["specreason"]
    assert (about["answered_by"], about["without_draft"]) == ("base", 0)
    assert texts(found) == STEPS


async def test_who_answered_is_said_of_every_reply() -> None:
    for role in ("base", "draft"):
        async with running(answer_by=role) as (_, graph):
            found = await graph.ainvoke(QUESTION)
        assert found["messages"][-1].response_metadata["specreason"]["answered_by"] == role


async def test_an_answer_in_a_schema_is_begun_anew_or_stops() -> None:
    """Nobody can go on in the middle of it."""
    schema = {"type": "object", "properties": {"legs": {"type": "integer"}}, "required": ["legs"]}
    found, events = await answered(Fault("status", status=500), answering("a"), answer_schema=schema)
    assert "".join(event["text"] for event in events if event["event"] == "answer_token") == found["specreason_answer"]
    assert found["messages"][-1].response_metadata["specreason"]["answered_by"] == "base"
    with pytest.raises(EndpointError, match="draft endpoint") as stopped:
        await answered(Fault("status", status=500, after=3), answering("a"), answer_schema=schema)
    assert [step["text"].strip() for step in stopped.value.steps] == STEPS


async def test_a_draft_that_dies_in_its_answer_is_an_error_where_the_settings_want_both() -> None:
    with pytest.raises(EndpointError, match="draft endpoint") as stopped:
        await answered(Fault("status", status=500, after=3), answering("a"), degrade=False)
    assert [step["text"].strip() for step in stopped.value.steps] == STEPS


async def test_base_that_is_gone_is_a_stop_with_every_kept_step() -> None:
    kept: list[Any] = []

    async def run(servers: ScriptedPair, graph: Any) -> None:
        async for update in graph.astream(QUESTION, stream_mode="updates"):
            kept.extend(kept_in(update))
            if len(kept) == 2:
                servers.base.fail(GONE, path=None, times=None)

    async with running() as (servers, graph):
        with pytest.raises(SpecReasonError) as stopped:
            await run(servers, graph)
    assert len(stopped.value.steps) == len(kept) >= 2
