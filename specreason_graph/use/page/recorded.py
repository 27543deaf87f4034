"""What a page reads of a run's record; what an older version did not record is left empty."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt

from specreason_graph.contract.settings import Role, ScoreMethod
from specreason_graph.contract.state import Source
from specreason_graph.use.page.words import PendingStatus


class _Read(BaseModel):
    """A part of a record, of which the rest does not matter here."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class RecordedSpot(_Read):
    """See `contract.state.Spot`."""

    text: str
    place: NonNegativeInt = 0
    draft_logprob: FiniteFloat | None = None
    base_logprob: FiniteFloat
    at_most: bool = False
    lead: FiniteFloat | None = None
    start: NonNegativeInt | None = None


class RecordedSpan(_Read):
    """See `contract.state.Span`."""

    role: Literal["draft", "judge", "base"]
    began: FiniteFloat
    ended: FiniteFloat
    tokens: NonNegativeInt
    used: bool


class RecordedStep(_Read):
    """See `contract.state.Step`."""

    index: NonNegativeInt
    text: str
    source: Source
    accepted: bool | None
    reject_reason: str | None = None
    rejected_text: str | None = None
    draft_starts: list[NonNegativeInt] = Field(default_factory=list)
    score: FiniteFloat | None = None
    threshold: FiniteFloat
    gate: dict[str, str] = Field(default_factory=dict)
    human: str | None = None
    label_probs: dict[str, FiniteFloat] | None = None
    label_mass: FiniteFloat | None = None
    says_label: bool | None = None
    spots: list[RecordedSpot] | None = None
    unasked: FiniteFloat | None = None
    draft_logprobs: list[FiniteFloat] = Field(default_factory=list)
    tokens: NonNegativeInt = 0
    place: NonNegativeInt = 0
    ends: bool = False
    agreement: FiniteFloat | None = None
    cut: bool = False
    draft_tokens: NonNegativeInt = 0
    discarded_tokens: NonNegativeInt = 0
    base_tokens: NonNegativeInt = 0
    seconds: dict[str, FiniteFloat] = Field(default_factory=dict)
    spans: list[RecordedSpan] = Field(default_factory=list)


class RecordedPending(_Read):
    """A text for the next step: a draft that waits to be judged, or for base's; or one that is being written."""

    role: Role
    text: str
    status: PendingStatus


class RecordedUsage(_Read):
    """See `contract.state.RoleUsage`."""

    prompt_tokens: NonNegativeInt
    cached_tokens: NonNegativeInt | None = None
    completion_tokens: NonNegativeInt
    discarded_tokens: NonNegativeInt
    seconds: FiniteFloat = 0.0


class RecordedJudge(_Read):
    """See `models.presets.Judge`."""

    kind: Literal["labels", "likelihood"]
    labels: list[str] = Field(default_factory=list)
    method: ScoreMethod = "greedy"
    lowest: int = Field(default=1, ge=1)
    end_threshold: FiniteFloat = -2.0


class RecordedWeight(_Read):
    """See `judging.policy.Weight`."""

    weight: FiniteFloat
    mean: FiniteFloat


class RecordedPolicy(_Read):
    """See `judging.policy.FittedPolicy`; of other policies there is the name alone."""

    name: str
    intercept: FiniteFloat = 0.0
    weights: dict[str, RecordedWeight] = Field(default_factory=dict)


class Recorded(_Read):
    """See `loop.report.Report`."""

    answer: str | None
    steps: list[RecordedStep]
    ended: str | None
    usage: dict[str, RecordedUsage] = Field(default_factory=dict)
    seconds: FiniteFloat = 0.0
    question: str = ""
    models: dict[str, str] = Field(default_factory=dict)
    judge: RecordedJudge | None = None
    policy: RecordedPolicy | None = None
    pending: list[RecordedPending] = Field(default_factory=list)
    """Of a run that goes on."""
