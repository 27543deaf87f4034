"""What a page reads of a run's record; what an older version did not record is left empty."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from specreason_graph.contract.settings import Role, ScoreMethod
from specreason_graph.contract.state import Source
from specreason_graph.use.page.words import PendingStatus

Count = Annotated[int, Field(ge=0, le=10**12)]
Number = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
"""A score, a log-probability, or a moment: nothing of ours is ever near these bounds."""
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class _Read(BaseModel):
    """A part of a record, of which the rest does not matter here."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class RecordedSpot(_Read):
    """See `contract.evidence.Spot`."""

    text: str
    place: Count = 0
    draft_logprob: Number | None = None
    base_logprob: Number
    at_most: bool = False
    lead: Number | None = None
    start: Count | None = None


class RecordedSpan(_Read):
    """See `contract.state.Span`."""

    role: Literal["draft", "judge", "base"]
    began: Number
    ended: Number
    tokens: Count
    used: bool


class RecordedStep(_Read):
    """See `contract.state.Step`."""

    index: Count
    text: str
    source: Source
    accepted: bool | None
    reject_reason: str | None = None
    rejected_text: str | None = None
    draft_starts: list[Count] = Field(default_factory=list)
    score: Number | None = None
    threshold: Number
    gate: dict[str, str] = Field(default_factory=dict)
    human: str | None = None
    label_probs: dict[str, Number] | None = None
    label_mass: Number | None = None
    says_label: bool | None = None
    spots: list[RecordedSpot] | None = None
    unasked: Number | None = None
    draft_logprobs: list[Number] = Field(default_factory=list)
    tokens: Count = 0
    place: Count = 0
    ends: bool = False
    agreement: Number | None = None
    cut: bool = False
    draft_tokens: Count = 0
    discarded_tokens: Count = 0
    base_tokens: Count = 0
    seconds: dict[str, Seconds] = Field(default_factory=dict)
    spans: list[RecordedSpan] = Field(default_factory=list)


class RecordedPending(_Read):
    """A text for the next step: a draft that waits to be judged, or for base's; or one that is being written."""

    role: Role
    text: str
    status: PendingStatus


class RecordedUsage(_Read):
    """See `contract.state.RoleUsage`."""

    prompt_tokens: Count
    cached_tokens: Count | None = None
    completion_tokens: Count
    discarded_tokens: Count
    seconds: Seconds = 0.0


class RecordedJudge(_Read):
    """See `models.presets.Judge`."""

    kind: Literal["labels", "likelihood"]
    labels: list[str] = Field(default_factory=list)
    method: ScoreMethod = "greedy"
    lowest: int = Field(default=1, ge=1)
    end_threshold: Number = -2.0


class RecordedWeight(_Read):
    """See `judging.policy.Weight`."""

    weight: Number
    mean: Number


class RecordedPolicy(_Read):
    """See `judging.policy.FittedPolicy`; of other policies there is the name alone."""

    name: str
    intercept: Number = 0.0
    weights: dict[str, RecordedWeight] = Field(default_factory=dict)


class Recorded(_Read):
    """See `loop.report.Report`."""

    answer: str | None
    steps: list[RecordedStep]
    ended: str | None
    usage: dict[str, RecordedUsage] = Field(default_factory=dict)
    seconds: Seconds = 0.0
    question: str = ""
    models: dict[str, str] = Field(default_factory=dict)
    judge: RecordedJudge | None = None
    policy: RecordedPolicy | None = None
    pending: list[RecordedPending] = Field(default_factory=list)
    """Of a run that goes on."""

    @model_validator(mode="after")
    def _steps_are_in_order(self) -> Self:
        """By their places: what the page's script is told of a step goes by its index."""
        for place, step in enumerate(self.steps):
            if step.index != place:
                raise ValueError(f"steps.{place}.index: it is {step.index}")
        return self
