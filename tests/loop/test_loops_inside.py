"""A step or an answer that has become one phrase told on and on is cut there, and told as a loop."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Solve, Solved
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import Pair, create_specreason
from specreason_graph.generation.cycle import ANSWER_LOOP, STEP_LOOP
from specreason_graph.testing import Script, ScriptedServer, scripted_pair

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
LOOP = "3 * 4 = " + "12.8 × 5/3 = " * 60
"""More than a step may have: cut at its bound, it would be kept by a judge that finds it likely."""
DRAFTS = [STEPS[0], LOOP, STEPS[2]]
QUESTION: Any = {"messages": [("user", "How many legs?")]}
MODES: dict[str, Any] = {
    "in turn": {"look_ahead": False, "hedge": False},
    "look-ahead": {"look_ahead": True, "hedge": False},
    "hedge": {"look_ahead": False, "hedge": True},
    "both": {"look_ahead": True, "hedge": True},
}


def record(solved: Solved) -> Any:
    """What a run came to, but for its times, and what the servers' caches held."""
    steps = [{k: v for k, v in step.items() if k not in ("seconds", "spans", "cached_tokens")} for step in solved.steps]
    return steps, solved.state["specreason_ended"], solved.state["specreason_answer"]


def server(script: Script, tokenizer: Any = "a", **options: Any) -> ScriptedServer:
    return ScriptedServer(script, tokenizer=tokenizer, template="think", **options)


@pytest.mark.parametrize("tokenizer", ["a", "b"])
@pytest.mark.parametrize("judge", ["paper", "likelihood"])
async def test_a_drafted_loop_is_cut_and_base_writes_the_step(solve: Solve, judge: str, tokenizer: str) -> None:
    draft = server(Script(DRAFTS), tokenizer)
    solved = await solve(server(Script(STEPS, answer="12")), draft, judge=judge, **MODES["in turn"])
    assert solved.texts == STEPS
    assert (solved.state["specreason_ended"], solved.state["specreason_answer"]) == ("finished", "12")
    step = solved.steps[1]
    assert (step["source"], step["reject_reason"], step["judge_tokens"]) == ("base", "loop", 0)
    assert STEP_LOOP < step["draft_tokens"] == step["discarded_tokens"] < STEP_LOOP + 60
    assert LOOP.startswith(step["rejected_text"] or "?")
    used = solved.state["specreason_usage"]["draft"]
    assert used["discarded_tokens"] >= step["discarded_tokens"]
    kept = sum(len(it["ids"].get("draft", it["ids"]["base"])) for it in solved.steps if it["source"] == "draft")
    assert used["completion_tokens"] == used["discarded_tokens"] + kept + 1, "and the one that closes the reasoning"


@pytest.mark.parametrize("drafts", [[LOOP, *STEPS[1:]], [*STEPS[:2], LOOP]], ids=["first", "last"])
async def test_what_is_kept_does_not_depend_on_who_was_faster(solve: Solve, drafts: list[str]) -> None:
    """Nor on how a server cuts its stream into events."""
    runs = [
        record(await solve(server(Script(STEPS, answer="12")), server(Script(drafts), **events), **mode))
        for mode, events in [*((mode, {}) for mode in MODES.values()), (MODES["both"], {"tokens_per_event": 7})]
    ]
    assert all(run == runs[0] for run in runs)
    assert [step["reject_reason"] for step in runs[0][0]].count("loop") == 1


async def test_a_loop_that_begins_where_a_step_is_cut_is_seen_in_the_next(solve: Solve) -> None:
    """A step is looked at by itself, so that what is seen does not depend on how far a stream is ahead."""
    late = " ".join(f"Cow {n} has 4 legs." for n in range(40)) + " So " + "12.8 × 5/3 = " * 60
    base = Script(lambda said: "\n\n12" if "</think>" in said else "So 12.</think>\n\n12")
    runs = [
        await solve(server(base), server(Script([late])), step_tokens=300, judge="paper", **MODES[mode])
        for mode in ("in turn", "both")
    ]
    assert record(runs[0]) == record(runs[1])
    reasons = [step["reject_reason"] for step in runs[0].steps]
    assert reasons.count("loop") == 1
    assert reasons.index("loop") > 0


async def test_a_draft_may_loop_more_than_once(solve: Solve) -> None:
    """Base writes those steps, and the reasoning holds nothing of the loops; so it goes on."""
    steps = [f"Cow {n} has {n} spots." for n in range(1, 7)]
    drafts = [step if n % 2 else LOOP for n, step in enumerate(steps)]
    solved = await solve(server(Script(steps, answer="12")), server(Script(drafts)), gate="always")
    assert solved.texts == steps
    assert [step["reject_reason"] for step in solved.steps] == ["loop", None] * 3
    assert solved.state["specreason_ended"] == "finished"


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
@pytest.mark.parametrize("at", [0, 1])
async def test_base_that_loops_in_a_step_ends_the_reasoning_without_it(solve: Solve, at: int, mode: Any) -> None:
    """As when it tells a step again: nobody is left to hand over to."""
    by_base = [*STEPS[:at], LOOP]
    solved = await solve(
        server(Script(by_base, answer="12", scores=[*[9] * at, 0])), server(Script([*STEPS[:at], "Wrong."])), **mode
    )
    assert (solved.state["specreason_ended"], solved.texts) == ("loop", STEPS[:at])
    assert solved.state["specreason_answer"] == "12"
    used = solved.state["specreason_usage"]["base"]
    assert STEP_LOOP < used["discarded_tokens"] < STEP_LOOP + 160


async def test_both_may_loop(solve: Solve) -> None:
    solved = await solve(server(Script([STEPS[0], LOOP], answer="12")), server(Script([STEPS[0], LOOP])))
    assert (solved.state["specreason_ended"], solved.texts) == ("loop", STEPS[:1])
    rejected = [event["reason"] for event in solved.events if event["event"] == "step_rejected"]
    assert rejected == ["loop"]


async def test_a_run_that_stops_behind_a_loop_goes_on_in_another_process() -> None:
    """The state says that it was one, and where the stream was cut."""
    saver, thread = InMemorySaver(), RunnableConfig(configurable={"thread_id": "t"})
    base, draft = server(Script(STEPS, answer="12")), server(Script(DRAFTS))
    async with scripted_pair(base, draft) as running, Pair(running.config) as pair:
        stops = create_specreason(pair=pair).compile(checkpointer=saver, interrupt_before=["judge", "regenerate"])
        state = await stops.ainvoke(QUESTION, thread)
        while state["specreason_pending"]["status"] != "rejected":
            state = await stops.ainvoke(None, thread)
    assert state["specreason_pending"]["drafted"]["loops"]
    async with scripted_pair(base, draft) as running, Pair(running.config) as pair:
        state = await create_specreason(pair=pair).compile(checkpointer=saver).ainvoke(None, thread)
    assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
    assert state["specreason_steps"][1]["reject_reason"] == "loop"


@pytest.mark.parametrize("budget", [200, 224, 238, 239, 240, 300])
async def test_a_bound_before_the_loop_is_seen_is_a_cut(solve: Solve, budget: int) -> None:
    """Whether a loop was seen must not depend on how far the draft was ahead of a bound that grew smaller."""
    base = Script([STEPS[0], "So the legs are counted."], answer="12")
    runs = [
        await solve(server(base), server(Script(DRAFTS)), reasoning_budget=budget, judge="paper", **MODES[mode])
        for mode in ("in turn", "look-ahead", "both")
    ]
    assert all(record(run) == record(runs[0]) for run in runs)
    assert runs[0].steps[1]["reject_reason"] == (
        "loop" if budget - len(runs[0].steps[0]["ids"]["base"]) >= 224 else None
    )


async def test_blanks_told_on_and_on_are_a_loop(solve: Solve) -> None:
    solved = await solve(server(Script(STEPS, answer="12")), server(Script(lambda said: " \t" * 2000)))
    assert solved.steps[0]["reject_reason"] == "loop"


async def test_it_can_be_turned_off(solve: Solve) -> None:
    both = Script([STEPS[0], LOOP], answer=LOOP)
    chosen: Any = {"loop_detection": False, "max_steps": 2, "answer_budget": 700, "judge": "paper"}
    solved = await solve(server(both), server(both), **chosen)
    assert [step["reject_reason"] for step in solved.steps] == [None] * 2
    assert solved.steps[1]["draft_tokens"] == 512
    metadata = solved.state["messages"][-1].response_metadata
    assert metadata["specreason"]["answer_tokens"] == 700
    assert not metadata["specreason"]["answer_loops"]


@pytest.mark.parametrize("by", ["base", "draft"])
async def test_an_answer_that_loops_is_cut_and_says_so(solve: Solve, by: str) -> None:
    script = Script(STEPS, answer="It is 🙂 " + "12.8 × 5/3 🙂 = " * 60)
    solved = await solve(script, script, answer_by=by)
    message = solved.state["messages"][-1]
    about = message.response_metadata["specreason"]
    assert message.response_metadata["finish_reason"] == "length"
    assert about["answer_loops"]
    assert "tokens" not in about, "nothing goes on behind it token by token"
    assert ANSWER_LOOP < about["answer_tokens"] < ANSWER_LOOP + 80
    assert script.answer.startswith(message.text)
    told = "".join(event["text"] for event in solved.events if event["event"] == "answer_token")
    assert told == message.text == solved.state["specreason_answer"]


async def test_zeros_to_the_end_of_the_budget(solve: Solve) -> None:
    """A server once wrote them."""
    script = Script(STEPS, answer="It is 1" + "0" * 950)
    solved = await solve(script, script)
    about = solved.state["messages"][-1].response_metadata["specreason"]
    assert about["answer_loops"]
    assert about["answer_tokens"] < 900


async def test_an_answer_of_an_instruct_model_that_loops_is_cut(solve: Solve) -> None:
    """Its answer is its last step, which base then does not finish; what is asked for is an answer of its own."""
    script = Script([*STEPS[:2], LOOP], answer="12", cue="The final answer is ")
    solved = await solve(script, script, template="instruct", judge="paper", boxed=True)
    assert (solved.state["specreason_ended"], solved.texts) == ("loop", STEPS[:2])
    assert solved.state["specreason_answer"] == "The final answer is 12"


SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


async def test_a_held_answer_that_loops_is_cut_as_one_that_met_its_budget(solve: Solve) -> None:
    script = Script(STEPS, answer='{"text": "' + "12.8 × 5/3 = " * 60 + '"}')
    solved = await solve(script, script, answer_schema=SCHEMA)
    message = solved.state["messages"][-1]
    assert message.response_metadata["finish_reason"] == "length"
    assert message.response_metadata["specreason"]["answer_loops"]
