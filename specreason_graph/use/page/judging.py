"""What a page needs to judge its steps again: the policy that decided, others that their evidence allows, and that.

The page's script decides as `judging.policy` does; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor
from typing import Literal, cast, get_args

from pydantic import BaseModel, Field

from specreason_graph.contract.evidence import Evidence
from specreason_graph.contract.settings import ScoreMethod
from specreason_graph.judging.catalog import SCORE_THRESHOLD
from specreason_graph.judging.features import features
from specreason_graph.judging.scoring import likelihood_score
from specreason_graph.use.page.recorded import Recorded, RecordedJudge, RecordedStep
from specreason_graph.use.page.text import shortened

AT_SIGHT = ("empty", "loop", "call", "unusable")
"""Reasons of rejects that no policy decided, and no threshold changes."""
_DIGITS = 6
_NEAR = 1e-3
_USUAL = {1: -2.0, 3: -1.6}  # thresholds by how many tokens are averaged: both kept base's accuracy, docs/judges.md
_LOWEST = -12.0  # log-probability where a slider ends; below it a token is just as unlikely


class Choice(BaseModel):
    """A way to a decision, and the thresholds that it can have."""

    name: str
    kind: Literal["labels", "likelihood", "fitted", "recorded"]
    """`recorded` compares the recorded score: of a policy that the record does not hold."""
    threshold: float
    low: float
    high: float
    step: float
    method: ScoreMethod = "greedy"
    lowest: int = 1
    end_threshold: float = -2.0
    intercept: float = 0.0
    weights: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Of a fitted policy: weight and mean by feature."""


class Judged(BaseModel):
    """A drafted step's evidence."""

    index: int
    accepted: bool
    """As recorded."""
    fixed: bool = False
    """Decided at sight or by a person: no threshold changes it."""
    bare: bool = False
    """Nothing but the end of the reasoning."""
    score: float | None = None
    says_label: bool = False
    labels: list[float] | None = None
    """Probabilities, worst label first."""
    spots: list[float] | None = None
    """Base's log-probabilities, to a millionth."""
    features: dict[str, float] | None = None


class Judging(BaseModel):
    """Everything that the threshold's slider goes by."""

    choices: list[Choice]
    """The run's own first."""
    steps: list[Judged]


def how_judged(run: Recorded) -> Judging | None:
    """How the run's steps can be judged again; None where none was judged, or the record does not say how."""
    judged = [step for step in run.steps if step.accepted is not None]
    decided = [step for step in judged if not _fixed(step)]
    own = _own(run, decided) if decided else None
    if own is None:
        return None
    labels = run.judge.labels if run.judge else []
    return Judging(
        choices=[own, *_others(run, own, decided)],
        steps=[_judged(step, labels, own.weights) for step in judged],
    )


def _own(run: Recorded, decided: Sequence[RecordedStep]) -> Choice | None:
    judge, policy, threshold = run.judge, run.policy, decided[-1].threshold
    if policy is not None and policy.weights:
        return Choice(
            name=f"policy {shortened(policy.name, 80)}",
            kind="fitted",
            threshold=threshold,
            low=0,
            high=1,
            step=0.005,
            intercept=policy.intercept,
            weights={name: (part.weight, part.mean) for name, part in policy.weights.items()},
        )
    if judge is not None and policy is not None and policy.name == SCORE_THRESHOLD:
        if judge.kind == "labels":
            return _by_labels(judge, judge.method, threshold)
        if _is_score(judge.lowest, decided):
            return _by_likelihood(judge.lowest, threshold, decided)
    return _by_score(decided, threshold)


def _is_score(lowest: int, decided: Sequence[RecordedStep]) -> bool:
    """Whether so many tokens' mean is what was recorded: a journal names its judge, which may be another one today."""
    for step in decided:
        spots = [spot.base_logprob for spot in step.spots or []]
        if not spots or (step.score is not None and abs(likelihood_score(spots, lowest) - step.score) > _NEAR):
            return False
    return True


def _by_score(decided: Sequence[RecordedStep], threshold: float) -> Choice | None:
    """For a policy that the record does not hold; None where it decided by another rule, as at random."""
    scored = [(step.score, step) for step in decided if step.score is not None]
    if not scored or any(step.accepted != (score >= step.threshold) for score, step in scored):
        return None
    low, high = min(threshold, *(score for score, _ in scored)), max(threshold, *(score for score, _ in scored))
    step = (high - low) / 200 or 1.0
    return Choice(name="the recorded score", kind="recorded", threshold=threshold, low=low, high=high, step=step)


def _others(run: Recorded, own: Choice, decided: Sequence[RecordedStep]) -> list[Choice]:
    """What else could decide on the same evidence."""
    steps, judge, found = [step for step in decided if step.tokens], run.judge, list[Choice]()
    if judge is not None and judge.labels and all(step.label_probs is not None for step in steps):
        usual = own.threshold if own.kind == "labels" else 0.75 * (len(judge.labels) - 1)
        found += [_by_labels(judge, method, usual) for method in get_args(ScoreMethod)]
    if all(step.spots for step in steps):
        found += [_by_likelihood(lowest, usual, steps) for lowest, usual in _USUAL.items()]
    return [choice for choice in found if choice.name != own.name]


def _by_labels(judge: RecordedJudge, method: ScoreMethod, threshold: float) -> Choice:
    top = len(judge.labels) - 1
    return Choice(
        name={"greedy": "the likeliest label", "mean": "the labels' mean", "median": "the labels' median"}[method],
        kind="labels",
        threshold=threshold,
        low=min(0, threshold),
        high=max(top, threshold),
        step=0.1 if top > 1 else 0.01,
        method=method,
        end_threshold=judge.end_threshold,
    )


def _by_likelihood(lowest: int, threshold: float, decided: Sequence[RecordedStep]) -> Choice:
    least = min((spot.base_logprob for step in decided for spot in step.spots or []), default=threshold)
    return Choice(
        name="the least likely token" if lowest == 1 else f"the {lowest} least likely tokens' mean",
        kind="likelihood",
        threshold=threshold,
        low=min(threshold, max(_LOWEST, floor(least))),
        high=max(0, threshold),
        step=0.05,
        lowest=lowest,
    )


def _fixed(step: RecordedStep) -> bool:
    asked = step.label_probs is not None or step.spots is not None or step.score is not None
    return step.human is not None or step.reject_reason in AT_SIGHT or not asked


def _evidence(step: RecordedStep, labels: Sequence[str]) -> Evidence:
    """Without probabilities of labels that say nothing, which no record of ours has."""
    probs = {label: prob for label, prob in (step.label_probs or {}).items() if label in labels and prob > 0}
    return cast(Evidence, {**step.model_dump(), "label_probs": probs if len(labels) > 1 and probs else None})


def _judged(step: RecordedStep, labels: Sequence[str], weights: dict[str, tuple[float, float]]) -> Judged:
    probs = step.label_probs
    values = features(_evidence(step, labels), labels) if weights else None
    return Judged(
        index=step.index,
        accepted=bool(step.accepted),
        fixed=_fixed(step),
        bare=not step.tokens,
        score=None if step.score is None else round(step.score, _DIGITS),
        says_label=bool(step.says_label),
        labels=None if probs is None else [probs.get(label, 0.0) for label in labels],
        spots=None if step.spots is None else [round(spot.base_logprob, _DIGITS) for spot in step.spots],
        features=None if values is None else {name: values[name] for name in weights if name in values},
    )
