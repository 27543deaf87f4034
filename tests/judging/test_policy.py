"""From evidence to a decision: what a fitted policy computes, and which policy a run gets."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.evidence import Evidence, Spot
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import Catalog, builtin
from specreason_graph.judging.policy import (
    FittedPolicy,
    FunctionPolicy,
    Provenance,
    ScoreThreshold,
    Weight,
    load_policy,
)

BASE, DRAFT = "scripted-base", "scripted-draft"


def evidence(*spots: float, label_probs: dict[str, float] | None = None) -> Evidence:
    return Evidence(
        label_probs=label_probs,
        label_mass=None,
        says_label=None,
        spots=[
            Spot(
                text="x", draft_logprob=-0.1, base_logprob=logprob, at_most=False, place=0, alternative=None, lead=None
            )
            for logprob in spots
        ]
        or None,
        unasked=None,
        draft_logprobs=[-0.1, -0.3],
        tokens=len([-0.1, -0.3]),
        place=2,
        ends=False,
        agreement=None,
    )


def fitted(name: str = "mine", **changed: Any) -> FittedPolicy:
    values: dict[str, Any] = {
        "name": name,
        "base_model": BASE,
        "draft_model": DRAFT,
        "preset": "instruct",
        "judge": builtin().judge("likelihood"),
        "threshold": 0.8,
        "intercept": 0.5,
        "weights": {"lowest": Weight(weight=0.25, mean=-2.0), "place": Weight(weight=-0.1, mean=4.0)},
        "provenance": Provenance(
            date="2026-01-01", version="1", problems="p", steps=9, bad=3, auroc=0.8, interval=(0.7, 0.9)
        ),
    }
    return FittedPolicy(**{**values, **changed})


def catalog(preset_policy: str | None = None) -> Catalog:
    """The preset `instruct` with a policy of its own, and two policies fitted on the scripted pair."""
    preset = builtin().presets["instruct"].model_copy(update={"policy": preset_policy})
    return builtin().extended([preset], policies=[fitted("mine"), fitted("other", preset="thinking")])


def test_the_probability_is_the_logistic_of_weights_times_distance_from_the_mean() -> None:
    """Signs and means: 0.5 + 0.25 * (-6 + 2) - 0.1 * (2 - 4) = -0.3."""
    assert fitted().probability(evidence(-1.0, -6.0)) == pytest.approx(1 / (1 + exp(0.3)))


def test_a_missing_feature_counts_as_its_mean() -> None:
    """Without spots there is no `lowest`, which must not look like a log-probability of 0, the best there is."""
    assert (
        fitted().probability(evidence()) == fitted().probability(evidence(-2.0)) == pytest.approx(1 / (1 + exp(-0.7)))
    )


def test_labels_reach_the_probability_in_the_judges_own_order() -> None:
    strict = builtin().judge("strict")  # its best label is " No"
    policy = fitted(judge=strict, intercept=0.0, weights={"label_score": Weight(weight=4.0, mean=0.5)})
    assert policy.probability(evidence(label_probs={" No": 0.8, " Yes": 0.2})) == pytest.approx(1 / (1 + exp(-1.2)))


@pytest.mark.parametrize(("weight", "probability"), [(1e6, 0.0), (-1e6, 1.0)])
def test_extreme_odds_are_certainty_and_no_overflow(weight: float, probability: float) -> None:
    policy = fitted(weights={"lowest": Weight(weight=weight, mean=0.0)})
    assert policy.probability(evidence(-9999.0)) == probability


def test_a_probability_at_the_threshold_is_accepted() -> None:
    seen = evidence(-6.0)
    at = fitted().probability(seen)
    assert fitted().at(at).decide(seen) == (True, at, None)
    assert fitted().at(at + 1e-9).decide(seen) == (False, at, "probability")


@pytest.mark.parametrize("threshold", [-0.01, 1.01, 7])
def test_a_threshold_that_is_no_probability_is_refused(threshold: float) -> None:
    """Such as the paper's 7, which would silently reject everything."""
    with pytest.raises(ConfigError, match=r"threshold: .* outside 0..1.*'mine'"):
        fitted().at(threshold)


def test_a_policy_decides_the_same_from_its_file(tmp_path: Path) -> None:
    policy = fitted(intercept=1 / 3, weights={"lowest": Weight(weight=0.1 + 0.2, mean=-1 / 7)})
    path = tmp_path / "policy.json"
    path.write_text(policy.model_dump_json(indent=1))
    assert load_policy(path) == policy
    for lowest in (-0.2, -2.5, -5.0, -15.0):
        assert load_policy(path).decide(evidence(lowest)) == policy.decide(evidence(lowest))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"threshold = 7", "not a policy file .the file: Invalid JSON"),
        (b"\xff\xfe\x00", "not a policy file"),
        (fitted().model_dump_json().replace('"intercept"', '"offset"').encode(), "intercept: Field required"),
        (
            fitted(threshold=0.5).model_dump_json().replace("0.5", "1.5").encode(),
            "threshold: .* less than or equal to 1",
        ),
        (fitted(intercept=1.25).model_dump_json().replace("1.25", "NaN").encode(), "intercept: .* finite number"),
    ],
    ids=["missing", "not-json", "binary", "other-fields", "threshold-above-1", "nan"],
)
def test_what_is_no_policy_file_is_told_with_its_path(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "policy.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=why) as told:
        load_policy(path)
    assert str(path) in str(told.value)


@pytest.mark.parametrize(
    ("base", "draft", "preset", "told"),
    [
        ("bigger-base", DRAFT, "instruct", f"fitted on base model '{BASE}' (here 'bigger-base');"),
        (BASE, "other-draft", "instruct", f"fitted on draft model '{DRAFT}' (here 'other-draft');"),
        (BASE, DRAFT, "thinking", "fitted on preset 'instruct' (here 'thinking');"),
    ],
    ids=["base", "draft", "preset"],
)
def test_a_policy_judges_only_what_it_was_fitted_on(base: str, draft: str, preset: str, told: str) -> None:
    """Its weights mean nothing elsewhere; the message says what differs, that alone, and what to do."""
    known = catalog()
    with pytest.raises(ConfigError) as refused:
        known.judging(Settings(policy="mine"), known.presets[preset], base, draft)
    assert f"policy: 'mine' was {told}" in str(refused.value)
    assert "`specreason calibrate`" in str(refused.value)


def test_an_unknown_policy_is_told_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError, match=r"policy: there is no 'nine'; known are mine, other"):
        judging(Settings(policy="nine"))


def judging(settings: Settings, preset_policy: str | None = None) -> tuple[Any, Any]:
    known = catalog(preset_policy)
    return known.judging(settings, known.presets["instruct"], BASE, DRAFT)


def test_the_presets_policy_decides_with_the_judge_that_it_was_fitted_on() -> None:
    """Not with the preset's judge, which would give other evidence."""
    assert builtin().presets["instruct"].judge == "paper"
    judge, policy = judging(Settings(threshold=0.6), "mine")
    assert judge == fitted().judge
    assert policy == fitted().at(0.6)


@pytest.mark.parametrize(
    "own",
    [{"judge": "likelihood"}, {"score_method": "mean"}, {"spots": 3}, {"policy": "threshold"}],
    ids=lambda own: str(*own),
)
def test_a_run_that_names_a_score_gets_the_score(own: dict[str, Any]) -> None:
    """Even where the judge is the one that the preset's policy was fitted on."""
    judge, policy = judging(Settings(**own), "mine")
    assert judge.name == own.get("judge", "paper")
    assert judge.method == own.get("score_method", judge.method)
    assert judge.spots == own.get("spots", builtin().judge(judge.name).spots)
    assert policy == ScoreThreshold(judge, builtin().judge(judge.name).threshold)


@pytest.mark.parametrize("own", [{"judge": "paper"}, {"score_method": "mean"}, {"spots": 3}], ids=lambda own: str(*own))
def test_a_named_policy_is_refused_with_other_evidence(own: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"policy: 'mine' was fitted on judge 'likelihood' as it is"):
        judging(Settings(policy="mine", **own))


def test_a_named_policy_goes_with_the_name_of_its_own_judge() -> None:
    assert judging(Settings(policy="mine", judge="likelihood")) == (fitted().judge, fitted())


def test_the_score_threshold_is_the_presets_for_its_own_judge_alone() -> None:
    """Its 8 of 9 would be refused as a log-probability, or wrong in silence for another judge of labels."""
    known = builtin()
    strict = known.presets["thinking"].model_copy(update={"threshold": 8})
    own = known.judging(Settings(policy="threshold"), strict, BASE, DRAFT)
    other = known.judging(Settings(judge="likelihood"), strict, BASE, DRAFT)
    assert [(judge.name, policy.threshold) for judge, policy in (own, other)] == [("paper", 8), ("likelihood", -1.6)]


@pytest.mark.parametrize(("judge", "threshold"), [("paper", -2.0), ("yes-no", 7), ("likelihood", 0.5)])
def test_a_threshold_that_no_score_has_is_refused(judge: str, threshold: float) -> None:
    with pytest.raises(ConfigError, match=f"threshold: .*range of judge '{judge}'"):
        judging(Settings(judge=judge, threshold=threshold))


def test_a_function_of_yours_is_a_policy_with_a_threshold() -> None:
    policy = FunctionPolicy("short", builtin().judge("likelihood"), 0.5, lambda evidence, before: len(before) / 4)
    one = {"index": 0}
    assert policy.decide(evidence(), [one] * 2) == (True, 0.5, None)  # type: ignore[list-item]
    assert policy.decide(evidence(), [one]) == (False, 0.25, "score")  # type: ignore[list-item]
    assert policy.at(0.2).decide(evidence(), [one])[0]  # type: ignore[list-item]
    assert policy.at(None) is policy
