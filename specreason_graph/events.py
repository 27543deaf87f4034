"""What a run tells while it runs: the `custom` stream mode. Plain dicts, one of the shapes below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypedDict

from specreason_graph.state import Ended, RejectReason, Step, Verdict


class StepDrafted(TypedDict):
    """The draft model wrote a step."""

    event: Literal["step_drafted"]
    index: int
    text: str


class StepJudged(TypedDict):
    """The judge decided on it."""

    event: Literal["step_judged"]
    index: int
    verdict: Verdict


class StepRejected(TypedDict):
    """It was thrown away; base writes the step next."""

    event: Literal["step_rejected"]
    index: int
    reason: RejectReason | None


class StepKept(TypedDict):
    """A step became part of the reasoning: a draft that was accepted, or one that base wrote."""

    event: Literal["step_accepted", "step_regenerated"]
    step: Step


class AnswerToken(TypedDict):
    """A piece of the answer."""

    event: Literal["answer_token"]
    text: str


class ReasoningEnded(TypedDict):
    """The reasoning is over."""

    event: Literal["reasoning_ended"]
    ended: Ended


Event = StepDrafted | StepJudged | StepRejected | StepKept | AnswerToken | ReasoningEnded
Emit = Callable[[Event], None]
