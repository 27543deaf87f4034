"""The page's script decides as Python does: on random steps, by every kind of policy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.resources import files
from random import Random
from typing import Any, cast

import pytest
from playwright.sync_api import Browser

from specreason_graph.contract.evidence import Evidence, Spot
from specreason_graph.contract.state import Step
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.policy import Policy, ScoreThreshold, as_json
from specreason_graph.judging.scoring import Decision
from specreason_graph.models.presets import Judge
from specreason_graph.use.page.judging import Judging, how_judged
from specreason_graph.use.page.recorded import Recorded

DECIDE = (files("specreason_graph.use.page") / "templates" / "decide.js").read_text(encoding="utf-8")
LABELS = tuple("0123456789")
FITTED = builtin().policies["qwen2.5-coder"]


def random_spot(random: Random, place: int, own: float) -> Spot:
    text, base = random.choice(["x", "12", " =", "word"]), -random.expovariate(0.5)
    return Spot(
        text=text, place=place, draft_logprob=own, base_logprob=base, at_most=False, alternative=None, lead=None
    )


def random_step(random: Random, index: int, judge: Judge) -> Step:
    """With all evidence that the judge asks for, now and then with none of a kind."""
    bare = random.random() < 0.1
    probs = {label: random.random() ** 3 for label in judge.labels if random.random() < 0.6}
    logprobs = [-random.expovariate(2) for _ in range(0 if bare else random.randint(1, 12))]
    places = sorted(random.sample(range(len(logprobs)), min(len(logprobs), 5)))
    spots = [random_spot(random, at, logprobs[at]) for at in places] or [random_spot(random, 0, -0.1)]
    evidence = Evidence(
        label_probs=None if bare or not judge.labels else probs,
        label_mass=sum(probs.values()) if judge.labels and not bare else None,
        says_label=random.random() < 0.8 if judge.labels and not bare else None,
        spots=spots,
        unasked=None,
        draft_logprobs=logprobs,
        tokens=len(logprobs),
        place=index,
        ends=bare or random.random() < 0.2,
        agreement=random.choice([None, 0.0, 1.0]),
    )
    reason = random.choice(["empty", "loop"]) if random.random() < 0.05 else None
    said = {"index": index, "text": "x", "source": "base", "accepted": False, "reject_reason": reason, "threshold": 0.0}
    return cast(Step, {**evidence, **said, "score": -1.0})


def scored(steps: list[Step], policy: Policy) -> list[Step]:
    """Steps as the policy decided on them."""
    found = [(step, policy.decide(step)) for step in steps]
    return [
        cast(Step, {**step, "accepted": step["reject_reason"] is None and it[0], "score": it[1], "threshold": -2.0})
        for step, it in found
    ]


def of_record(steps: list[Step], judge: Judge, policy: dict[str, Any]) -> Judging:
    record = {"answer": None, "ended": None, "steps": steps, "judge": judge.model_dump(), "policy": policy}
    judging = how_judged(Recorded.model_validate(record))
    assert judging is not None
    return judging


def by_script(browser: Browser, judging: Judging, choice: int, thresholds: list[float]) -> list[list[dict[str, Any]]]:
    page = browser.new_page()
    given = [judging.model_dump(exclude_defaults=True), choice, thresholds]
    decisions = page.evaluate(
        f"([judging, choice, thresholds]) => {{ {DECIDE}; return thresholds.map((threshold) =>"
        " judging.steps.map((step) => decide(judging.choices[choice], step, threshold))) }",
        given,
    )
    page.close()
    return cast(list[list[dict[str, Any]]], decisions)


def check(steps: list[Step], decided: list[dict[str, Any]], expected: list[Decision], threshold: float) -> None:
    for step, mine, (accepted, score, _) in zip(steps, decided, expected, strict=True):
        if step["reject_reason"] is not None:
            assert not mine["accepted"]
            continue
        assert (mine["score"] is None) == (score is None)
        if score is not None:
            assert mine["score"] == pytest.approx(score, abs=1e-6)
        if score is None or abs(score - threshold) > 1e-6:
            assert mine["accepted"] == accepted, (step, mine, score, threshold)


@pytest.mark.parametrize("policy", ["greedy", "mean", "median", "likelihood", "fitted"])
def test_the_script_decides_as_the_policy_does(policy: str, browser: Browser) -> None:
    random = Random(policy)
    made: Callable[[float], Policy]
    if policy == "fitted":
        judge, made = FITTED.judge, FITTED.at
    elif policy == "likelihood":
        judge = builtin().judges["likelihood"]
        made = partial(ScoreThreshold, judge)
    else:
        judge = builtin().judges["paper"].model_copy(update={"method": policy})
        made = partial(ScoreThreshold, judge)
    steps = scored(
        [random_step(random, index, judge) for index in range(400)], made(0.5 if policy == "fitted" else -2.0)
    )
    scores = sorted(score for step in steps if (score := made(0.0).decide(step)[1]) is not None)
    thresholds = [scores[int(part * len(scores))] + 1e-4 for part in (0.3, 0.5, 0.7, 0.9)]
    judging = of_record(steps, judge, as_json(made(thresholds[0])))
    assert judging.choices[0].kind == {"fitted": "fitted", "likelihood": "likelihood"}.get(policy, "labels")
    for threshold, decided in zip(thresholds, by_script(browser, judging, 0, thresholds), strict=True):
        expected = [made(threshold).decide(step) for step in steps]
        assert {it[0] for it in expected} == {True, False}
        check(steps, decided, expected, threshold)


@pytest.mark.parametrize("lowest", [1, 3])
def test_a_likelihood_may_be_the_mean_of_several_tokens(lowest: int, browser: Browser) -> None:
    random, judge = Random(lowest), builtin().judges["likelihood"].model_copy(update={"lowest": lowest})
    policy = ScoreThreshold(judge, -2.0)
    steps = scored([random_step(random, index, judge) for index in range(200)], policy)
    judging = of_record(steps, judge, as_json(policy))
    assert (judging.choices[0].kind, judging.choices[0].lowest) == ("likelihood", lowest)
    [decided] = by_script(browser, judging, 0, [-2.0])
    check(steps, decided, [policy.decide(step) for step in steps], -2.0)


def test_a_judge_that_is_another_one_today_leaves_the_recorded_scores() -> None:
    """A journal names its judge; what it asks may have changed since."""
    random, judge = Random(0), builtin().judges["likelihood"].model_copy(update={"lowest": 1})
    steps = scored([random_step(random, index, judge) for index in range(20)], ScoreThreshold(judge, -2.0))
    changed = judge.model_copy(update={"lowest": 3})
    assert of_record(steps, changed, {"name": "threshold"}).choices[0].kind == "recorded"
