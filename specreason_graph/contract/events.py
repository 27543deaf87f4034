"""What a run tells while it runs: the `custom` stream mode. Plain dicts, one of the shapes below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Discriminator
from typing_extensions import TypedDict  # pydantic wants this one below Python 3.12

from specreason_graph.contract.state import Ended, RejectReason, Step, Verdict


class Whose(TypedDict, total=False):
    """What every event holds as well, put in where it is told; an interrupt's value, too."""

    run: str
    """The run's id, as in the state's `specreason_run`."""
    question: str
    """What it answers: the first 100 characters of the last human message."""


class StepDrafted(Whose):
    """The draft model wrote a step."""

    event: Literal["step_drafted"]
    index: int
    text: str


class DraftGone(Whose):
    """The draft's server failed, and base writes the step; or the answer, which the draft was to write."""

    event: Literal["draft_gone"]
    index: int
    """Of the step; for the answer the number of steps."""


class StepJudged(Whose):
    """The judge decided on it."""

    event: Literal["step_judged"]
    index: int
    verdict: Verdict


class StepUnsure(Whose):
    """The score is inside `ask_band`: the run waits for a person."""

    event: Literal["step_unsure"]
    index: int


class StepRejected(Whose):
    """It was thrown away; base writes the step next."""

    event: Literal["step_rejected"]
    index: int
    reason: RejectReason | None


class StepKept(Whose):
    """A step became part of the reasoning: a draft that was accepted, or one that base or a person wrote."""

    event: Literal["step_accepted", "step_regenerated", "step_edited"]
    step: Step


class AnswerToken(Whose):
    """A piece of the answer."""

    event: Literal["answer_token"]
    text: str


class ToolCallBegun(Whose):
    """Base calls a tool; its arguments follow."""

    event: Literal["tool_call_begun"]
    index: int
    """Which call of the reply, from 0."""
    id: str
    name: str


class ToolCallToken(Whose):
    """A piece of a call's arguments, as JSON text."""

    event: Literal["tool_call_token"]
    index: int
    text: str


class ReasoningEnded(Whose):
    """The reasoning is over."""

    event: Literal["reasoning_ended"]
    ended: Ended


Event = Annotated[
    StepDrafted
    | DraftGone
    | StepJudged
    | StepUnsure
    | StepRejected
    | StepKept
    | AnswerToken
    | ToolCallBegun
    | ToolCallToken
    | ReasoningEnded,
    Discriminator("event"),
]
"""Any of them; `pydantic.TypeAdapter(Event)` checks one, and gives their JSON schema."""
Emit = Callable[[Event], None]
