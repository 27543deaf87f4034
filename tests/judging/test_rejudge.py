"""Recorded steps judged again: what was recorded is enough to come to every decision anew, without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from conftest import Solve
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, create_specreason
from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.evidence import Evidence
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.state import Step
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.policy import FittedPolicy, FunctionPolicy, Policy, Provenance, ScoreThreshold, Weight
from specreason_graph.judging.rejudge import decided_again, rejudge
from specreason_graph.models.presets import Judge
from specreason_graph.testing import Script, ScriptedServer, scripted_pair

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "Now only the sum is left.", "So 12."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", "Now only the sum is left.", "So 12."]


BOTH = builtin().judge("paper").model_copy(update={"name": "both", "kind": "likelihood", "threshold": -2.0, "spots": 4})


def base_script() -> Script:
    """Accepts and rejects under each judge; no label at all for the third step."""
    return Script(STEPS, answer="12", scores=[8, 3, {"The": 0.6, "9": 0.3}, 7])


def judging(template: str, **settings: Any) -> tuple[Judge, Policy]:
    preset = builtin().presets["instruct" if template == "instruct" else "thinking"]
    return builtin().judging(Settings(**settings), preset, "scripted-base", "scripted-draft")


def recorded(steps: list[Step]) -> list[tuple[Any, ...]]:
    return [(step["accepted"], step["score"], step["reject_reason"]) for step in steps]


def unsure_draft(wordy: list[str] = WRONG) -> Script:
    """A draft whose confidence differs from token to token, as a real one's does."""
    return Script(wordy, confidence=lambda said, token: 0.5 + (len(said) * 7 % 40) / 100)


@pytest.mark.parametrize("template", ["instruct", "think"])
@pytest.mark.parametrize(
    "settings",
    [
        {"judge": "likelihood"},
        {"judge": "likelihood", "spots": 2},
        {"judge": "paper"},
        {"judge": "paper", "score_method": "mean"},
    ],
    ids=["likelihood", "two-spots", "paper", "paper-mean"],
)
async def test_the_same_judge_and_policy_decide_the_same(solve: Solve, template: str, settings: dict[str, Any]) -> None:
    """Decision, score and reason: otherwise what `rejudge` says of another threshold would be wrong, too."""
    solved = await solve(base_script(), unsure_draft(), template=template, **settings)
    judged = [step for step in solved.steps if step["accepted"] is not None]
    assert {step["accepted"] for step in judged} == {True, False}
    judge, policy = judging(template, **settings)
    assert [decided_again(step, judge, policy) for step in judged] == recorded(judged)
    again = rejudge(solved.steps, judge, policy)
    assert (again["newly_accepted"], again["newly_rejected"]) == (0, 0)
    assert (again["judged"], again["accepted"]) == (len(judged), sum(bool(step["accepted"]) for step in judged))


async def test_fewer_spots_are_those_that_the_draft_was_least_sure_of(solve: Solve) -> None:
    """As a run with that setting would have asked, the end of the reasoning included."""
    base = Script(STEPS, answer="12", confidence=lambda said, token: 0.3 + (len(said) * 11 % 60) / 100)
    many, few = [
        await solve(base, unsure_draft(STEPS), template="instruct", judge="likelihood", spots=spots, threshold=-20.0)
        for spots in (12, 2)
    ]
    judge, policy = judging("instruct", judge="likelihood", spots=2)
    assert many.texts == few.texts == STEPS
    assert [step["score"] for step in many.steps] != [step["score"] for step in few.steps]
    assert [decided_again(step, judge, policy)[1] for step in many.steps] == [step["score"] for step in few.steps]


async def test_more_spots_than_were_asked_about_are_refused(solve: Solve) -> None:
    """Those that were not asked about would count as fine."""
    solved = await solve(base_script(), unsure_draft(), template="instruct", judge="likelihood", spots=2)
    with pytest.raises(ConfigError, match=r"judged on 2, and this judge asks for 3: lower `spots` to 2 \(--spots 2\)"):
        rejudge(solved.steps, *judging("instruct", judge="likelihood", spots=3))


@pytest.mark.parametrize("tokenizers", ["aa", "ab"])
async def test_a_judge_that_leaves_out_fewer_sure_tokens_is_refused_and_a_bolder_one_is_not(
    solve: Solve, tokenizers: Any
) -> None:
    """Those that were not asked about would count as fine; those that are left out count for nothing."""
    draft = ScriptedServer(
        Script(STEPS, confidence=lambda said, token: 0.8 if token.strip().isdigit() else 0.99), tokenizer=tokenizers[1]
    )
    base = ScriptedServer(base_script(), tokenizer=tokenizers[0])
    solved = await solve(base, draft, template="instruct", judge="likelihood")
    judge, policy = judging("instruct", judge="likelihood")
    bolder = judge.model_copy(update={"sure": -1.0})
    assert rejudge(solved.steps, bolder, ScoreThreshold(bolder, -2.0))["would_accept"] == len(solved.steps)
    with pytest.raises(ConfigError, match=r"judged on \d+, and this judge asks for 10: .* `sure` is below -0\.01"):
        rejudge(solved.steps, judge.model_copy(update={"sure": 0.0}), policy)


@pytest.mark.parametrize("tokenizers", ["aa", "ab", "ba"])
async def test_where_every_token_was_asked_about_any_number_will_do(solve: Solve, tokenizers: Any) -> None:
    """Whichever of the two models makes more tokens of a step; else the run's own settings would be refused."""
    base = ScriptedServer(base_script(), tokenizer=tokenizers[0])
    draft = ScriptedServer(unsure_draft(), tokenizer=tokenizers[1])
    solved = await solve(base, draft, judge="likelihood", spots=60)
    again = rejudge(solved.steps, *judging("instruct", judge="likelihood", spots=60))
    assert (again["judged"], again["newly_accepted"], again["newly_rejected"]) == (4, 0, 0)


async def test_evidence_that_was_not_asked_for_is_told(solve: Solve) -> None:
    for asked, other in (("likelihood", "paper"), ("paper", "likelihood")):
        solved = await solve(base_script(), unsure_draft(), template="instruct", judge=asked)
        with pytest.raises(ConfigError, match=f"step 0 was not judged by '{other}'"):
            rejudge(solved.steps, *judging("instruct", judge=other))


async def test_what_needed_no_evidence_stays_as_it_was(solve: Solve) -> None:
    """A loop is rejected at sight, whatever the judge would say of it."""
    looping = Script(lambda said: "Let me check that again.\n\n" * 9)
    solved = await solve(Script(["Start.", "On with it.", "Then this.", "So 12."], answer="12"), looping)
    judge, policy = judging("think", threshold=0)
    assert "loop" in {step["reject_reason"] for step in solved.steps}
    for step in solved.steps:
        assert decided_again(step, judge, policy)[2] == step["reject_reason"]


async def solved_with(judge: Judge, draft: Script, **more: Any) -> list[Step]:
    """The steps of a run with one's own judge, and one's own policy where there is one."""
    async with scripted_pair(base_script(), draft) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, judges=[judge], **more).compile()
        state = await graph.ainvoke({"messages": [HumanMessage("How many legs have 3 cows?")]}, {"recursion_limit": 99})
    steps: list[Step] = state["specreason_steps"]
    return steps


async def test_a_fitted_policy_comes_to_the_same_probabilities() -> None:
    """All features are in the record: spots and labels of one request, place, end, the draft's own odds."""
    policy = FittedPolicy(
        name="mine",
        base_model="scripted-base",
        draft_model="scripted-draft",
        preset="instruct",
        judge=BOTH,
        threshold=0.75,
        intercept=0.4,
        weights={
            "lowest_result": Weight(weight=0.5, mean=-3.0),
            "gap_lowest3": Weight(weight=0.2, mean=-2.0),
            "draft_lowest": Weight(weight=0.3, mean=-0.5),
            "length": Weight(weight=0.2, mean=-2.0),
            "place": Weight(weight=0.1, mean=1.0),
            "ends": Weight(weight=0.2, mean=0.1),
            "label_score": Weight(weight=2.0, mean=0.5),
        },
        provenance=Provenance(date="", version="", problems="", steps=9, bad=3, auroc=0.8, interval=(0.7, 0.9)),
    )
    steps = await solved_with(BOTH, unsure_draft(), policies=[policy], settings=Settings(policy="mine"))
    assert {step["accepted"] for step in steps} == {True, False}, [step["score"] for step in steps]
    assert len({step["score"] for step in steps}) == len(STEPS)
    assert [decided_again(step, BOTH, policy) for step in steps] == recorded(steps)


async def test_a_bare_end_has_no_label_and_is_judged_again_by_its_spot() -> None:
    """The draft ends the reasoning at once behind a step; there is no text that a label could be asked for."""
    early = Script(lambda said: "There are 3 cows.\n\n"[len(said) :])
    steps = await solved_with(BOTH, early, settings=Settings(judge="both"))
    assert (steps[1]["rejected_text"], steps[1]["ends"], steps[1]["label_probs"]) == ("", True, None)
    assert decided_again(steps[1], BOTH, ScoreThreshold(BOTH, BOTH.threshold)) == recorded(steps)[1]


async def test_a_policy_on_the_run_so_far_sees_each_step_behind_its_own_run(solve: Solve) -> None:
    """Runs are judged again one after the other; none has the steps of the one before it."""
    seen: list[list[int]] = []

    def count(evidence: Evidence, before: Sequence[Step]) -> float:
        seen.append([step["index"] for step in before])
        return 1.0

    solved = await solve(base_script(), Script(WRONG), judge="likelihood", template="instruct")
    judge = builtin().judge("likelihood")
    rejudge(solved.steps * 2, judge, FunctionPolicy("count", judge, 0.5, count))
    assert seen == [[], [0], [0, 1], [0, 1, 2]] * 2


async def test_labels_of_another_judge_are_no_evidence(solve: Solve) -> None:
    """Each of its own labels would count as 0: every step rejected, without a word."""
    solved = await solve(base_script(), unsure_draft(), judge="paper")
    for other in ("yes-no", "strict"):
        judge, policy = judging("think", judge=other)
        with pytest.raises(ConfigError, match=f"not judged by {other!r}"):
            rejudge(solved.steps, judge, policy)


async def test_the_advice_does_for_all_steps(solve: Solve) -> None:
    """Else each step would be complained of in turn."""
    runs = [
        await solve(base_script(), unsure_draft(), template="instruct", judge="likelihood", spots=spots)
        for spots in (4, 2)
    ]
    steps = [step for run in runs for step in run.steps]
    with pytest.raises(ConfigError, match="--spots 2"):
        rejudge(steps, *judging("instruct", judge="likelihood", spots=5))
    assert rejudge(steps, *judging("instruct", judge="likelihood", spots=2))["judged"]
