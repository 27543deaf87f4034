"""A person decides where the judge is unsure, and changes what was kept: nothing is judged twice, or lost meanwhile."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from specreason_graph import ConfigError, Pair, Settings, create_specreason, edited
from specreason_graph.generation import live
from specreason_graph.testing import Pace, Script, ScriptedPair, ScriptedServer, scripted_pair

RIGHT = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", "So 12."]
BASE = Script(RIGHT, answer="12", scores=[9, 6, 9])
DRAFT = Script(WRONG)
ASKING = Settings(ask_band=(5, 8))
QUESTION: Any = {"messages": [("user", "How many legs have 3 cows?")]}


def config(thread: str = "t") -> Any:
    return {"configurable": {"thread_id": thread}, "recursion_limit": 200}


def texts(state: dict[str, Any]) -> list[str]:
    return [step["text"].strip() for step in state["specreason_steps"]]


def judged(servers: ScriptedPair) -> int:
    return sum(request.body["max_tokens"] == 1 for request in servers.base.completions)


@pytest.mark.parametrize("tokenizer", ["a", "b"])
@pytest.mark.parametrize(
    ("answer", "source", "text", "accepted", "reason"),
    [
        ({"decision": "accept"}, "draft", WRONG[1], True, None),
        ({"decision": "reject"}, "base", RIGHT[1], False, "human"),
        ({"decision": "edit", "text": "3 * 4 is 12. "}, "human", "3 * 4 is 12.", False, "human"),
    ],
)
async def test_a_person_decides_and_nothing_is_judged_twice(
    answer: dict[str, str], source: str, text: str, accepted: bool, reason: str | None, tokenizer: Any
) -> None:
    draft = ScriptedServer(DRAFT, template="think", tokenizer=tokenizer)
    async with scripted_pair(BASE, draft, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=ASKING).compile(checkpointer=InMemorySaver())
        waiting = await graph.ainvoke(QUESTION, config())
        [question] = [interrupt.value for interrupt in waiting["__interrupt__"]]
        assert (question["index"], question["text"], question["threshold"]) == (1, WRONG[1] + "\n\n", 7)
        assert question["verdict"]["score"] == 6
        assert question["verdict"]["label_probs"] == pytest.approx({"6": 0.9})
        assert question["choices"] == ["accept", "reject", "edit"]

        state = await graph.ainvoke(Command(resume=answer), config())
        assert texts(state) == [RIGHT[0], text, RIGHT[2]]
        assert judged(servers) == 3
        assert state["specreason_answer"] == "12"
        step = state["specreason_steps"][1]
        assert (step["source"], step["accepted"], step["reject_reason"]) == (source, accepted, reason)
        assert (step["human"], step["score"]) == (answer["decision"], 6)
        assert step["rejected_text"] == (None if accepted else WRONG[1] + "\n\n")
        assert [step["human"] for step in state["specreason_steps"][::2]] == [None, None]


@pytest.mark.parametrize("tokenizer", ["a", "b"])
async def test_both_models_go_on_behind_an_edit_as_if_it_had_always_been_there(tokenizer: Any) -> None:
    draft = ScriptedServer(DRAFT, template="think", tokenizer=tokenizer)
    async with scripted_pair(BASE, draft, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=ASKING).compile(checkpointer=InMemorySaver())
        await graph.ainvoke(QUESTION, config())
        await graph.ainvoke(Command(resume={"decision": "edit", "text": "Twelve legs."}), config())
        for server in (servers.base, servers.draft):
            last = await pair.endpoint("base" if server is servers.base else "draft").decode(
                server.completions[-1].prompts[0]
            )
            assert "There are 3 cows.\n\nTwelve legs.\n\n" in last


@pytest.mark.parametrize(
    "answer", ["accept", {"decision": "perhaps"}, {"decision": "edit"}, {"decision": "accept", "text": "x"}, 3]
)
async def test_an_answer_that_is_none_says_what_is_one_and_the_run_still_waits(answer: Any) -> None:
    async with scripted_pair(BASE, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=ASKING).compile(checkpointer=InMemorySaver())
        await graph.ainvoke(QUESTION, config())
        with pytest.raises(ConfigError, match=r"^resume: .*'accept' \| 'reject' \| 'edit'"):
            await graph.ainvoke(Command(resume=answer), config())
        state = await graph.ainvoke(Command(resume={"decision": "reject"}), config())
        assert texts(state) == RIGHT


async def test_the_last_step_can_be_edited_too() -> None:
    """It ends the reasoning as the drafted one did."""
    base, boxed = Script(RIGHT, answer="12", scores=[9, 9, 6]), ASKING.model_copy(update={"boxed": True})
    async with scripted_pair(base, DRAFT, template="instruct") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=boxed).compile(checkpointer=InMemorySaver())
        await graph.ainvoke(QUESTION, config())
        state = await graph.ainvoke(Command(resume={"decision": "edit", "text": "So it is 12."}), config())
        assert state["specreason_ended"] == "finished"
        assert state["specreason_answer"] == "So it is 12."


async def test_only_scores_inside_the_band_are_asked_about() -> None:
    base = Script(RIGHT, answer="12", scores=[7, {"The": 0.6, "6": 0.3}, 4])
    async with scripted_pair(base, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(ask_band=(5, 6))).compile(checkpointer=InMemorySaver())
        state = await graph.ainvoke(QUESTION, config())
        assert [step["reject_reason"] for step in state["specreason_steps"]] == [None, "no_label", "score"]


async def test_the_run_tells_that_it_waits_and_each_event_once() -> None:
    async with scripted_pair(BASE, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=ASKING).compile(checkpointer=InMemorySaver())
        told: list[str] = []
        given: Any
        for given in (QUESTION, Command(resume={"decision": "edit", "text": "3 * 4 is 12."})):
            told += [event["event"] async for event in graph.astream(given, config(), stream_mode="custom")]
            told.append("-")
        steps = [event for event in told if event.startswith(("step", "-"))]
        assert steps == [
            *("step_drafted", "step_judged", "step_accepted"),
            *("step_drafted", "step_judged", "step_unsure", "-", "step_edited"),
            *("step_drafted", "step_judged", "step_accepted", "-"),
        ]


async def test_without_a_checkpointer_it_is_refused_before_anything_is_asked() -> None:
    async with scripted_pair(BASE, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        with pytest.raises(ConfigError, match=r"^ask_band: .*checkpointer"):
            await create_specreason(pair=pair).compile().ainvoke(QUESTION, context=ASKING)
        assert not servers.draft.completions


@pytest.mark.parametrize(
    "settings", [{"judge": "likelihood", "ask_band": (5, 8)}, {"judge": "yes-no", "ask_band": (2, 8)}]
)
async def test_a_band_without_any_score_of_the_judge_is_refused(settings: dict[str, Any]) -> None:
    async with scripted_pair(BASE, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(**settings)).compile(checkpointer=InMemorySaver())
        with pytest.raises(ConfigError, match=r"^ask_band: no score is in"):
            await graph.ainvoke(QUESTION, config())


async def test_while_it_waits_nothing_is_written_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look-ahead and hedge stop at once, are paid for, and are taken up from the ledger."""
    monkeypatch.setattr(live, "TICK", 60.0)  # no lease ends in the test's time
    base = ScriptedServer(BASE, template="think", pace=Pace(seconds_per_token=0.01))
    draft = ScriptedServer(DRAFT, template="think", pace=Pace(seconds_per_token=0.005))
    async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=ASKING).compile(checkpointer=InMemorySaver())
        state = await graph.ainvoke(QUESTION, config())
        async with asyncio.timeout(30):
            await base.idle()
            await draft.idle()
        assert state["specreason_usage"]["base"]["discarded_tokens"] > 0
        state = await graph.ainvoke(Command(resume={"decision": "reject"}), config())
        assert texts(state) == RIGHT


WORKER = """
import asyncio, sys
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command
from specreason_graph import Pair, PairConfig, Settings, create_specreason

async def main():
    config = {"configurable": {"thread_id": "t"}, "recursion_limit": 200}
    pair = Pair(PairConfig.model_validate_json(sys.argv[1]))
    async with pair, AsyncSqliteSaver.from_conn_string(sys.argv[2]) as saver:
        graph = create_specreason(pair=pair).compile(checkpointer=saver)
        state = await graph.ainvoke(Command(resume={"decision": "reject"}), config)
        print(state["specreason_answer"], len(state["specreason_steps"]))

asyncio.run(main())
"""


async def test_another_process_goes_on_with_the_answer(tmp_path: Path) -> None:
    """The setting need not be given again: what waits is in the state."""
    path = str(tmp_path / "run.sqlite")
    async with scripted_pair(BASE, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            graph = create_specreason(pair=pair, settings=ASKING).compile(checkpointer=saver)
            assert "__interrupt__" in await graph.ainvoke(QUESTION, config())
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, servers.config.model_dump_json(), path, stdout=asyncio.subprocess.PIPE
        )
        assert (await process.communicate())[0].split() == [b"12", b"3"]
        assert judged(servers) == 3


async def finished(graph: Any) -> list[Any]:
    await graph.ainvoke(QUESTION, config())
    return [snapshot async for snapshot in graph.aget_state_history(config())]


@pytest.mark.parametrize("tokenizer", ["a", "b"])
async def test_a_kept_step_is_changed_at_a_checkpoint_and_the_run_goes_on_behind_it(tokenizer: Any) -> None:
    draft = ScriptedServer(DRAFT, template="think", tokenizer=tokenizer)
    base = Script(RIGHT, answer="12")
    async with scripted_pair(base, draft, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver())
        [before_answer, *_] = [s for s in await finished(graph) if s.next == ("finalize",)]
        assert texts(before_answer.values) == WRONG
        fork = await graph.aupdate_state(before_answer.config, edited(1, "3 * 4 = 12 legs."), as_node="judge")
        state = await graph.ainvoke(None, {**fork, "recursion_limit": 200})
        assert texts(state) == RIGHT
        step = state["specreason_steps"][1]
        assert (step["source"], step["human"], step["accepted"]) == ("human", "edit", None)
        assert step["rejected_text"] == WRONG[1] + "\n\n"
        assert [step["index"] for step in state["specreason_steps"]] == [0, 1, 2]
        assert state["specreason_answer"] == "12"
        again = await graph.ainvoke(QUESTION, config())  # the edit is made once
        assert texts(again) == WRONG


async def test_a_deleted_step_is_written_anew_under_other_settings() -> None:
    base = Script(RIGHT, answer="12", scores=[9, 7, 9])
    async with scripted_pair(base, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver())
        [before_answer, *_] = [s for s in await finished(graph) if s.next == ("finalize",)]
        fork = await graph.aupdate_state(before_answer.config, edited(1), as_node="judge")
        state = await graph.ainvoke(None, {**fork, "recursion_limit": 200}, context=Settings(threshold=8))
        assert texts(state) == RIGHT
        assert [step["source"] for step in state["specreason_steps"]] == ["draft", "base", "draft"]


@pytest.mark.parametrize(("at", "says"), [(7, "no step 7"), (-1, "no step -1")])
async def test_an_edit_of_no_step_says_so(at: int, says: str) -> None:
    async with scripted_pair(BASE, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver())
        history = await finished(graph)
        before_answer = next(s for s in history if s.next == ("finalize",))
        fork = await graph.aupdate_state(before_answer.config, edited(at, "x"), as_node="judge")
        with pytest.raises(ConfigError, match=rf"^specreason_edit: .*{says}"):
            await graph.ainvoke(None, fork)


async def test_an_edit_that_the_context_has_no_room_for_is_asked_for_again() -> None:
    async with scripted_pair(BASE, DRAFT, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=ASKING).compile(checkpointer=InMemorySaver())
        await graph.ainvoke(QUESTION, config())
        asked = await graph.ainvoke(Command(resume={"decision": "edit", "text": "more and more " * 20_000}), config())
        assert "tokens left in base's context" in asked["__interrupt__"][0].value["problem"]
        state = await graph.ainvoke(Command(resume={"decision": "edit", "text": "3 * 4 is 12."}), config())
        assert texts(state)[1] == "3 * 4 is 12."
