"""The gate: which level pays at which load; a pure function, so each regime is a case."""

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.contract.state import GateLevel
from specreason_graph.generation.load import Seen
from specreason_graph.loop.gate import ENOUGH, ENTER, IDLE, STAY, Own, decide, seconds
from specreason_graph.testing.pair import scripted_pair
from specreason_graph.testing.script import Script

BUSY = Seen(
    runs=32, waiting=0, token_seconds=0.06, sequence_seconds=0.0005, judge_seconds=0.03, draft_seconds=0.3,
    step_tokens=40.0, acceptance=0.4,
)  # fmt: skip
"""Base alone takes 40 * 0.06 = 2.4 s over a step. With both overlaps it is 0.4 * 0.39 + 0.6 * 2.4 + 32 * 0.03 = 2.6."""
NEW = Own(level=None, drafted=0, accepted=0, lot=0.5)


def level(seen: Seen, run: Own = NEW) -> GateLevel:
    return decide(seen, run)["level"]


def test_a_run_alone_drafts_with_both_overlaps_whatever_that_costs_base() -> None:
    for runs in range(1, IDLE + 1):
        assert decide(replace(BUSY, runs=runs, judge_seconds=9.0), NEW) == {"level": "both", "why": "idle"}


def test_the_busier_base_is_the_less_is_asked_of_it() -> None:
    found = [level(replace(BUSY, runs=runs)) for runs in (4, 8, 16, 32, 64)]
    assert found == ["both", "both", "both", "base", "base"]


def test_the_better_the_draft_the_longer_it_pays() -> None:
    """With as many runs, and by tokens."""
    found = [level(replace(BUSY, acceptance=share)) for share in (0.1, 0.4, 0.7, 0.95)]
    assert found == ["base", "base", "both", "both"]


def test_hedges_go_where_they_make_each_pass_dear_for_what_is_mostly_accepted() -> None:
    """Without them a reject costs its run the whole of base's step, which is little where there are few."""
    dear = replace(BUSY, acceptance=0.9, sequence_seconds=0.0015)
    assert level(dear) == "look_ahead"
    assert level(replace(dear, acceptance=0.6)) == "both"
    assert level(replace(dear, sequence_seconds=0.0)) == "both"


def test_a_judge_that_keeps_the_server_for_long_is_not_asked_by_many() -> None:
    """As on a CPU, where reading a step costs what writing it does."""
    reads_as_it_writes = replace(BUSY, acceptance=0.8, judge_seconds=40 * 0.06 / 32)
    assert level(reads_as_it_writes) == "base"
    assert level(replace(reads_as_it_writes, judge_seconds=0.0)) == "both"


def test_noise_around_the_break_even_does_not_toggle_a_level() -> None:
    """What is left at one margin is entered at a higher one only."""
    between = replace(BUSY, acceptance=0.5)
    takes = seconds(between, 0.5)
    assert takes is not None
    assert STAY * takes["both"] < takes["base"] < ENTER * takes["both"]
    assert level(between, replace(NEW, level="both")) == "both"
    assert level(between, replace(NEW, level="base")) == "base"


def test_a_step_is_as_long_as_its_formula_says() -> None:
    """The figures by hand: base 40 passes; both waits 0.39 s for what it keeps, else for base, and 32 judges."""
    takes = seconds(replace(BUSY, sequence_seconds=0.0), 0.4)
    assert takes is not None
    assert takes["base"] == pytest.approx(2.4)
    assert takes["both"] == pytest.approx(0.4 * 0.39 + 0.6 * 2.4 + 0.96)
    assert takes["look_ahead"] == pytest.approx(0.39 + 0.6 * 2.4 + 0.96)
    slow = seconds(replace(BUSY, draft_seconds=9.0), 0.4)  # a hedge is done before such a draft
    assert slow is not None
    assert slow["both"] == pytest.approx(9.09 + 0.96)


def test_a_server_that_says_that_requests_wait_is_asked_for_less_at_once() -> None:
    queueing = replace(BUSY, runs=1, acceptance=1.0, waiting=3)
    assert decide(queueing, replace(NEW, level="both")) == {"level": "look_ahead", "why": "queue"}
    assert decide(queueing, replace(NEW, level="look_ahead")) == {"level": "base", "why": "queue"}
    assert decide(queueing, replace(NEW, level="base")) == {"level": "base", "why": "queue"}


def test_a_run_whose_drafts_are_nearly_all_rejected_has_base_alone_at_any_load() -> None:
    hopeless = Own(level="both", drafted=ENOUGH, accepted=0, lot=0.5)
    assert decide(replace(BUSY, runs=1), hopeless) == {"level": "base", "why": "rejected"}
    assert level(replace(BUSY, runs=1), replace(hopeless, drafted=ENOUGH - 1)) == "both"
    assert level(replace(BUSY, runs=1), replace(hopeless, accepted=ENOUGH // 10)) == "both"


def test_a_runs_own_drafts_count_the_more_the_more_there_are() -> None:
    """Others' steps may be easier."""
    good = replace(BUSY, acceptance=1.0)
    assert level(good, replace(NEW, level="both")) == "both"
    assert level(good, Own(level="both", drafted=2000, accepted=200, lot=0.5)) == "base"


def test_nothing_is_closed_before_anything_is_known() -> None:
    for name in ("token_seconds", "judge_seconds", "draft_seconds", "step_tokens"):
        unknown: dict[str, Any] = {name: None}
        few = replace(BUSY, runs=16, **unknown)
        assert decide(few, replace(NEW, lot=0.49)) == {"level": "both", "why": "unknown"}


def test_of_many_only_some_find_out_whether_drafting_pays() -> None:
    """Sixty-four judges at once would cost all of them a step's time, only to learn that."""
    new = replace(BUSY, runs=64, judge_seconds=None)
    found = [level(new, replace(NEW, lot=number / 64)) for number in range(64)]
    assert found.count("both") == 8
    assert found.count("base") == 56


def test_what_is_closed_is_probed_with_a_hedge() -> None:
    """Closed, it would give no evidence that it pays again; and a probe that is rejected must cost its run nothing."""
    assert level(BUSY) == "base"
    assert decide(BUSY, replace(NEW, lot=0.01)) == {"level": "both", "why": "probe"}


QUESTION: Any = {"messages": [HumanMessage("How many legs have 3 cows?")]}
STEPS = ["First, some words.", "Then, some more.", "So it is done."]


@pytest.mark.parametrize("gate", ["always", "never"])
async def test_settings_have_the_last_word(gate: Any) -> None:
    """Each kept step says what was decided before it, and why."""
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(gate=gate)).compile()
        steps = (await graph.ainvoke(QUESTION))["specreason_steps"]
        drafts = len(servers.draft.completions)
    assert {step["gate"]["why"] for step in steps} == {"settings"}
    assert {step["gate"]["level"] for step in steps} == {"both" if gate == "always" else "base"}
    assert (drafts == 0) == (gate == "never")
    assert [step["text"].strip() for step in steps] == STEPS


async def test_base_alone_writes_in_one_stream() -> None:
    """No request a step, and none to judge: that is what makes it as fast as base without us."""
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        found = await create_specreason(pair=pair, settings=Settings(gate="never")).compile().ainvoke(QUESTION)
        asked = len(servers.base.completions)
    assert [step["source"] for step in found["specreason_steps"]] == ["base"] * len(STEPS)
    assert asked == 2  # the reasoning, and the answer


async def test_a_server_that_says_that_requests_wait_is_heard() -> None:
    """vLLM tells it with a judge's answer, where it is asked: the next step costs it less."""
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        servers.base.queueing(5)
        found = await create_specreason(pair=pair, settings=Settings(look_ahead=False)).compile().ainvoke(QUESTION)
    first, *others = [step["gate"] for step in found["specreason_steps"]]
    assert first == {"level": "both", "why": "idle"}
    assert others[0] == {"level": "look_ahead", "why": "queue"}
    assert {gate["why"] for gate in others} == {"queue"}
