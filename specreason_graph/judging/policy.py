"""Accept or reject: the one place where evidence becomes a decision. Pure, so any recorded step can be judged again.

Three policies: the judge's score against a threshold (paper); a logistic model fitted on labelled steps of one pair,
whose threshold is a probability and so means the same for every pair; and any function of yours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.evidence import Evidence
from specreason_graph.contract.small_files import small_text
from specreason_graph.contract.state import Step
from specreason_graph.judging.features import features
from specreason_graph.judging.scoring import Decision, decide_by_labels, decide_by_likelihood
from specreason_graph.models.presets import Judge


class Policy(Protocol):
    """What turns the evidence on a step into a decision."""

    @property
    def threshold(self) -> float:
        """A step is accepted at or above it."""

    def decide(self, evidence: Evidence, before: Sequence[Step] = ()) -> Decision:
        """Accepted or not behind the steps `before`, the score compared with the threshold, and why not."""


class NamedPolicy(Policy, Protocol):
    """A policy that a run's settings can name: a `FittedPolicy`, or your own."""

    @property
    def name(self) -> str:
        """What `settings.policy` calls it."""

    @property
    def judge(self) -> Judge:
        """What base has to be asked for it."""

    def at(self, threshold: float | None) -> Policy:
        """This policy with another threshold; None keeps its own. Raises ConfigError when it can't have that."""

    def check_fits(self, base_model: str, draft_model: str, preset: str) -> None:
        """Raises ConfigError when it is not made for this pair."""


@dataclass(frozen=True, slots=True)
class ScoreThreshold:
    """The judge's own score against a threshold (paper, section 4.1)."""

    judge: Judge
    threshold: float

    def decide(self, evidence: Evidence, before: Sequence[Step] = ()) -> Decision:
        """See `Policy`."""
        if self.judge.kind == "likelihood":
            return decide_by_likelihood(evidence["spots"] or [], threshold=self.threshold, lowest=self.judge.lowest)
        if not evidence["tokens"]:  # a bare end has no step to put a label on, so base was asked how likely it is
            return decide_by_likelihood(evidence["spots"] or [], threshold=self.judge.end_threshold)
        return decide_by_labels(
            evidence["label_probs"] or {},
            self.judge.labels,
            says_label=bool(evidence["says_label"]),
            method=self.judge.method,
            threshold=self.threshold,
        )


@dataclass(frozen=True, slots=True)
class FunctionPolicy:
    """A policy of yours: a score of the evidence and of the steps so far, accepted at or above the threshold.

    Keep the function pure: a run that is resumed, or judged again offline, has to come to the same score.
    """

    name: str
    judge: Judge
    threshold: float
    score: Callable[[Evidence, Sequence[Step]], float]

    def at(self, threshold: float | None) -> FunctionPolicy:
        """This policy with another threshold; None keeps its own."""
        return self if threshold is None else replace(self, threshold=threshold)

    def check_fits(self, base_model: str, draft_model: str, preset: str) -> None:
        """It is used where you name it."""

    def decide(self, evidence: Evidence, before: Sequence[Step] = ()) -> Decision:
        """See `Policy`."""
        score = self.score(evidence, before)
        if not isinstance(score, int | float):
            raise ConfigError(f"policy: {self.name!r} gives {score!r} for a step, and a score is a number")
        return (True, score, None) if score >= self.threshold else (False, score, "score")


class Weight(BaseModel):
    """What one feature adds to the log-odds: `weight * (value - mean)`; a value that is missing adds nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: float
    mean: float


class Provenance(BaseModel):
    """What a policy was fitted on, and how well it did there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    date: str
    version: str = Field(description="Of this package")
    problems: str = Field(description="Where they came from, and which of them")
    steps: int
    bad: int
    auroc: float = Field(description="On steps of problems that were left out of the fit (cross-validated)")
    interval: tuple[float, float] = Field(description="95 %, bootstrapped by problem")


class FittedPolicy(BaseModel):
    """Probability that a step is fine: a logistic model over its evidence; the JSON file that `calibrate` writes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    base_model: str
    draft_model: str
    preset: str
    judge: Judge = Field(description="What base is asked; other evidence than it was fitted on would mean nothing")
    threshold: float = Field(ge=0, le=1, description="Probability at or above which a step is accepted")
    intercept: float = Field(description="Log-odds of a step with mean evidence")
    weights: dict[str, Weight] = Field(min_length=1)
    provenance: Provenance

    def probability(self, evidence: Evidence) -> float:
        """That the step is fine: base still comes to the right answer behind it."""
        values = features(evidence, self.judge.labels)
        odds = self.intercept + sum(
            part.weight * (values.get(name, part.mean) - part.mean) for name, part in self.weights.items()
        )
        return 1 / (1 + exp(-odds)) if odds >= 0 else exp(odds) / (1 + exp(odds))

    def decide(self, evidence: Evidence, before: Sequence[Step] = ()) -> Decision:
        """See `Policy`."""
        probability = self.probability(evidence)
        return (True, probability, None) if probability >= self.threshold else (False, probability, "probability")

    def at(self, threshold: float | None) -> FittedPolicy:
        """This policy with another threshold; None keeps its own.

        Raises:
            ConfigError: it is no probability.
        """
        if threshold is None:
            return self
        if not 0 <= threshold <= 1:
            raise ConfigError(
                f"threshold: {threshold:g} is outside 0..1, the probabilities of policy {self.name!r}; for one on "
                "the judge's score, use policy `threshold`"
            )
        return self.model_copy(update={"threshold": threshold})

    def check_fits(self, base_model: str, draft_model: str, preset: str) -> None:
        """Refuse to judge a pair that it was not fitted on.

        Raises:
            ConfigError: models or preset are others.
        """
        fitted = {"base model": self.base_model, "draft model": self.draft_model, "preset": self.preset}
        here = {"base model": base_model, "draft model": draft_model, "preset": preset}
        other = [
            f"{what} {fitted[what]!r} (here {here[what]!r})"
            for what in fitted
            if here[what] and fitted[what] != here[what]  # a draft that was never reached has no name
        ]
        if other:
            raise ConfigError(
                f"policy: {self.name!r} was fitted on {', '.join(other)}; fit one for this pair with "
                "`specreason calibrate`, or use the judge's own threshold (policy `threshold`)"
            )


def as_json(policy: Policy) -> dict[str, Any]:
    """A policy as a record holds it: a fitted one whole, of any other its name (`threshold` for the judge's score)."""
    if isinstance(policy, FittedPolicy):
        return policy.model_dump(mode="json")
    return {"name": getattr(policy, "name", "threshold")}


def load_policy(path: Path) -> FittedPolicy:
    """A policy that `specreason calibrate` wrote.

    Raises:
        ConfigError: there is no such file, or it is not a policy.
    """
    try:
        return FittedPolicy.model_validate_json(small_text(path))
    except OSError as error:
        raise ConfigError(f"policy: can't read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigError(f"policy: {path} is not a policy file (it is no UTF-8)") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"policy: {path} is not a policy file ({where}: {first['msg']})") from None
