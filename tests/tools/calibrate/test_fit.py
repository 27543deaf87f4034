"""What a calibration says of evidence that tells, that does not, or that only seems to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from statistics import fmean

import numpy as np
import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.evidence import Evidence, Spot
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.policy import FittedPolicy, Provenance
from specreason_graph.tools.calibrate.calibration import Calibration, calibrate
from specreason_graph.tools.calibrate.chains import Chain, LabelledStep
from specreason_graph.tools.calibrate.dataset import steps_for
from specreason_graph.tools.calibrate.fit import Fit, auroc, fit
from specreason_graph.tools.calibrate.verdict import as_json, verdict

LIKELIHOOD, PAPER = (builtin().judge(name) for name in ("likelihood", "paper"))
Rng = np.random.Generator


def step(
    fine: bool,
    *,
    place: int = 0,
    ends: bool = False,
    spots: tuple[float, float] = (-1.0, -1.0),
    own: float = -0.5,
    length: int = 10,
    score: float | None = None,
) -> LabelledStep:
    """A labelled step; `spots` are base's log-probabilities of a number and a word, `score` is paper's in 0..1."""

    def evidence(*, spots: list[Spot] | None = None, label_probs: dict[str, float] | None = None) -> Evidence:
        return Evidence(
            label_probs=label_probs,
            label_mass=None if label_probs is None else 1.0,
            says_label=None if label_probs is None else True,
            spots=spots,
            unasked=None,
            draft_logprobs=[own] * length,
            tokens=len([own] * length),
            place=place,
            ends=ends,
            agreement=None,
        )

    found = {
        "likelihood": evidence(
            spots=[
                Spot(
                    text=text,
                    draft_logprob=own,
                    base_logprob=logprob,
                    at_most=False,
                    place=0,
                    alternative=None,
                    lead=None,
                )
                for text, logprob in zip("1x", spots, strict=True)
            ]
        )
    }
    if score is not None:
        found["paper"] = evidence(label_probs={"0": 1 - score, "9": score})
    return LabelledStep(text="a", own="b", fine=fine, evidence=found)


def chains(problems: int, steps: int, make: Callable[[Rng, int], LabelledStep], seed: int = 0) -> list[Chain]:
    """Solved problems of a few steps each."""
    rng = np.random.default_rng(seed)
    return [
        Chain(problem=f"p{number}", base_right=True, steps=[make(rng, place) for place in range(steps)])
        for number in range(problems)
    ]


def telling(rng: Rng, place: int, *, apart: float = 3.0, labels: float = 0.0) -> LabelledStep:
    """Numbers that base finds unlikely are wrong; words, the draft's own odds and the place say nothing."""
    fine = bool(rng.random() < 0.75)
    number = -abs(rng.normal(1 if fine else 1 + apart, 1))
    score = float(np.clip(rng.normal(0.5 + (labels if fine else -labels), 0.2), 0.01, 0.99))
    return step(fine, place=place, spots=(number, -abs(rng.normal(2, 1))), own=-abs(rng.normal(1, 0.5)), score=score)


def noise(rng: Rng, place: int) -> LabelledStep:
    fine = bool(rng.random() < 0.75)
    return step(fine, place=place, spots=(-rng.exponential(2), -rng.exponential(2)), own=-rng.random())


def policy_of(fitted: Fit) -> FittedPolicy:
    return FittedPolicy(
        name="fitted",
        base_model="base",
        draft_model="draft",
        preset="instruct",
        judge=LIKELIHOOD,
        threshold=0.5,
        intercept=fitted.intercept,
        weights=fitted.weights,
        provenance=Provenance(date="", version="", problems="", steps=9, bad=3, auroc=0.8, interval=(0.7, 0.9)),
    )


@pytest.fixture(scope="module")
def told() -> Calibration:
    return calibrate(chains(40, 5, telling), [LIKELIHOOD], max_bad_rate=0.05)


def test_what_tells_stands_out_and_the_policy_goes_by_it(told: Calibration) -> None:
    silent = [told.evidence[name].auroc for name in ("likelihood.lowest_word", "draft_lowest", "length", "place")]
    assert told.evidence["likelihood.lowest_result"].auroc > 0.95
    assert max(silent) < 0.65 < 0.9 < told.fit.auroc.interval[0] <= told.fit.auroc.auroc
    assert max(told.fit.weights, key=lambda name: told.fit.weights[name].weight) == "lowest_result"
    assert told.can_tell
    assert "can't tell" not in verdict(told)


def test_the_exported_weights_are_those_of_the_fitted_model(told: Calibration) -> None:
    """In the units of the features: a logistic fit's mean probability is the share of fine steps, to the digit."""
    probabilities = [policy_of(told.fit).probability(evidence) for evidence in told.steps.evidence]
    assert fmean(probabilities) == pytest.approx(fmean(told.steps.fine), abs=1e-3)
    assert auroc(probabilities, told.steps.fine, told.steps.problems).auroc > 0.95


def test_the_chosen_threshold_keeps_to_the_target_and_no_lower_one_does(told: Calibration) -> None:
    assert told.chosen is not None
    at = told.curve.index(told.chosen)
    assert told.chosen["bad_rate"] <= 0.05 < told.curve[at - 1]["bad_rate"]
    assert 0.6 < told.chosen["acceptance"] < 0.9


def test_when_nothing_tells_that_is_said_and_no_policy_is_promised() -> None:
    """Even where some threshold keeps to the target by luck."""
    found = calibrate(chains(40, 5, noise, seed=2), [LIKELIHOOD], max_bad_rate=0.5)
    assert found.chosen is not None
    assert not found.can_tell
    assert "can't tell" in verdict(found)
    assert "would accept" not in verdict(found)
    told = json.loads(json.dumps(as_json(found, None)))
    assert (told["policy"]["path"], told["verdict"]) == (None, verdict(found))


def test_a_target_that_nothing_keeps_to_is_said_apart_from_a_judge_that_cant_tell(told: Calibration) -> None:
    found = replace(told, chosen=None)
    assert "No threshold keeps to the target" in verdict(found)
    assert "can't tell" not in verdict(found)


def alike(seed: int) -> list[Chain]:
    """Every step of a problem is the same, label included, and no problem has to do with another."""
    rng = np.random.default_rng(seed)
    return [
        Chain(
            problem=f"p{number}",
            base_right=True,
            steps=6
            * [
                step(
                    bool(number % 2),
                    place=int(rng.integers(9)),
                    ends=bool(rng.integers(2)),
                    spots=(-rng.exponential(3), -rng.exponential(3)),
                    own=-rng.exponential(1),
                    length=int(rng.integers(1, 60)),
                )
            ],
        )
        for number in range(20)
    ]


def test_no_problem_is_on_both_sides_of_a_split() -> None:
    """Else a fit would know each problem's steps by heart, and pass for one that can tell."""
    found = [steps_for(LIKELIHOOD, alike(seed)) for seed in range(6)]
    fits = [fit(steps) for steps in found]
    by_heart = [
        auroc([policy_of(one).probability(evidence) for evidence in steps.evidence], steps.fine, steps.problems).auroc
        for one, steps in zip(fits, found, strict=True)
    ]
    assert fmean(by_heart) > 0.65
    assert fmean(one.auroc.auroc for one in fits) < 0.55


def test_intervals_are_as_wide_as_few_problems_make_them() -> None:
    """Copies of steps within a problem add nothing: resampling steps would make the interval narrow."""
    few = chains(12, 2, telling, seed=1)
    copied = [Chain(problem=chain["problem"], base_right=True, steps=chain["steps"] * 25) for chain in few]
    widths = []
    for made in (few, copied):
        steps = steps_for(LIKELIHOOD, made)
        low, high = auroc([e["draft_logprobs"][0] for e in steps.evidence], steps.fine, steps.problems).interval
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_a_target_in_answers_counts_problems_that_base_does_not_solve() -> None:
    """They can't be lost: a tenth of 80 problems is a fifth of the 40 that base solves."""
    unsolved = [Chain(problem=f"u{number}", base_right=False, steps=[]) for number in range(40)]
    found = calibrate([*chains(40, 5, telling), *unsolved], [LIKELIHOOD], max_loss=0.1)
    assert (found.problems, found.solved) == (80, 40)
    assert found.chosen is not None
    assert 0.1 < found.chosen["lost"] <= 0.2 < found.curve[found.curve.index(found.chosen) - 1]["lost"]


@pytest.mark.parametrize(("labels", "judge"), [(0.04, "likelihood"), (0.08, "likelihood+paper")])
def test_a_second_request_is_asked_for_only_where_it_tells_clearly_more(labels: float, judge: str) -> None:
    found = calibrate(chains(50, 5, partial(telling, apart=1.0, labels=labels), seed=5), [LIKELIHOOD, PAPER])
    gain = found.fits["likelihood+paper"].auroc - found.fits["likelihood"].auroc
    assert (gain > 0.02) == (judge == "likelihood+paper")
    assert gain > 0
    assert found.steps.judge.name == judge
    assert bool(found.steps.judge.labels) == ("label_score" in found.fit.weights) == (judge == "likelihood+paper")


def few(bad: int) -> list[Chain]:
    """Eighty steps of ten problems, the first few of them bad."""
    made = chains(10, 8, lambda rng, place: step(True, place=place))
    for number in range(bad):
        made[number % 10]["steps"][0 if number < 10 else 1]["fine"] = False
    return made


def test_too_few_bad_steps_are_no_fit() -> None:
    with pytest.raises(ConfigError, match=r"problems: 80 labelled steps, 7 of them bad, are too few"):
        calibrate(few(7), [LIKELIHOOD])
    assert len(fit(steps_for(LIKELIHOOD, few(8))).held_out) == 80


def test_where_base_solves_nothing_that_is_said() -> None:
    with pytest.raises(ConfigError, match="0 labelled steps"):
        calibrate([Chain(problem="p0", base_right=False, steps=[])], [LIKELIHOOD])


def test_bad_steps_of_one_problem_alone_are_no_fit() -> None:
    """Where it is left out, there is no bad step to fit on."""
    with pytest.raises(ConfigError, match="too few"):
        calibrate([*few(0), Chain(problem="bad", base_right=True, steps=[step(False)] * 8)], [LIKELIHOOD])


def test_a_judge_that_was_not_asked_cannot_be_fitted_on() -> None:
    with pytest.raises(ConfigError, match="paper"):
        calibrate(few(8), [LIKELIHOOD], on="paper")
