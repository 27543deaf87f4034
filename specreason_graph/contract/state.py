"""The graph's state: the conversation, and a prefixed record of one run.

Plain dicts, since a checkpoint should load without this package's classes; no string that grows, since every
checkpoint would hold it anew. Text and ledgers are rebuilt from the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, NotRequired

from langchain_core.messages import AnyMessage
from langgraph.channels import DeltaChannel
from langgraph.graph.message import add_messages
from typing_extensions import TypedDict  # pydantic wants this one below Python 3.12

from specreason_graph.contract.evidence import Evidence

Source = Literal["draft", "base", "human"]
Choice = Literal["accept", "reject", "edit"]
"""What a person can make of a step that the judge is unsure of."""
Ended = Literal["finished", "call", "budget", "steps", "loop", "deadline", "context"]
"""Why a reasoning ended; `call`: with the opening of a tool call."""
RejectReason = Literal[
    "score", "likelihood", "probability", "no_label", "no_labels", "empty", "loop", "call", "human", "unusable"
]
"""Why a drafted step is not kept; `call`: it is nothing but the opening of a call, and whether to act is base's;
`unusable`: what base's server answered the judge can't be read."""
Node = Literal["draft_step", "judge", "regenerate", "finalize"]


class Span(TypedDict):
    """What a model did at one go, in active seconds since the run began."""

    role: Literal["draft", "judge", "base"]
    began: float
    ended: float
    tokens: int
    """Written; the judge's are those of its prompts."""
    used: bool
    """False: thrown away, as base's own version of an accepted step, or what was drafted behind a rejected one."""


class Verdict(Evidence):
    """What the judge made of a drafted step."""

    accepted: bool
    reason: RejectReason | None
    score: float | None
    """What the policy compares with its threshold: a score, a log-probability, or a probability."""
    human: Choice | None
    """What a person decided in the policy's place; None where nobody was asked."""
    judge_tokens: int
    """Prompt tokens of the judge's request."""
    cached_tokens: int | None
    """How many of them came from base's prefix cache; None is unknown."""
    began: NotRequired[float]
    """Active seconds of the run until it was asked."""
    seconds: float


class WrittenStep(TypedDict):
    """A step as one model wrote it, kept or not."""

    text: str
    ids: list[int]
    logprobs: list[float]
    starts: list[int]
    """Where in the text each id begins, in characters; an id that ends inside a character has none of it."""
    cut: bool
    """Ended by the token cap, the clock or a loop, not by a boundary: the next step goes on in mid-sentence."""
    loops: bool
    """Cut since it went in circles; never kept."""
    closes: bool
    closing: list[float] | None
    """`[id, log-probability]` of the token that ended turn or reasoning."""
    ended_with: str | None
    """The text that ended it, where that is no token: what opens a tool call, or the answer of instruct models."""
    cached_tokens: int | None
    seconds: float
    """Until it was taken, waited for from when it was wanted."""
    began: NotRequired[float]
    """Active seconds of the run until its model began with it, perhaps long before it was wanted."""
    ended: NotRequired[float]


class Pending(TypedDict):
    """A drafted step that is not part of the reasoning yet."""

    drafted: WrittenStep
    verdict: Verdict | None
    """None as long as it was not judged."""
    status: Literal["drafted", "unsure", "rejected"]
    """Whom it waits for: the judge, a person, or base, which writes the step itself."""


class Edit(TypedDict):
    """A kept step that a person has changed; what followed it is dropped."""

    index: int
    text: str | None
    """None deletes the step."""


GateLevel = Literal["both", "look_ahead", "base"]
"""What a step may cost base's server: a draft with both overlaps, one without the hedge, or base alone."""

GateReason = Literal["settings", "idle", "unknown", "load", "queue", "rejected", "probe", "draft_gone"]
"""`draft_gone`: its server failed, and base goes on alone."""


class Gate(TypedDict):
    """What was decided before a step, from the load."""

    level: GateLevel
    why: GateReason


class Step(Evidence):
    """A kept step of the reasoning, with the evidence on what was drafted for it."""

    index: int
    text: str
    """As written, boundary included: the reasoning is the steps' texts joined."""
    source: Source
    accepted: bool | None
    """Whether the drafted step was kept as it is; None where nothing was drafted."""
    reject_reason: RejectReason | None
    rejected_text: str | None
    draft_starts: NotRequired[list[int]]
    """Where in the drafted text, kept or rejected, each of `draft_logprobs` begins, in characters."""
    score: float | None
    threshold: float
    gate: Gate
    human: Choice | None
    """What a person decided about it; None where the policy did."""
    cut: bool
    closes: bool
    ended_with: str | None
    """As of the written step."""
    draft_tokens: int
    discarded_tokens: int
    base_tokens: int
    judge_tokens: int
    cached_tokens: dict[str, int | None]
    """Prompt tokens from the prefix cache, by node; None is unknown."""
    seconds: dict[str, float]
    """Wall-clock by node."""
    spans: NotRequired[list[Span]]
    """When which model worked on it, or for nothing."""
    ids: dict[str, list[int]]
    """Token ids for the ledger of `base`, and of `draft` where its tokenizer is another."""


class RoleUsage(TypedDict):
    """What one role cost in a run."""

    prompt_tokens: int
    cached_tokens: int | None
    completion_tokens: int
    discarded_tokens: int
    requests: int
    seconds: float


UsageByRole = dict[str, RoleUsage]
"""Keys `draft`, `base` (steps and answer) and `judge`."""


class RunId(TypedDict):
    """Which run it is, and what it was started on; a resume on other prompts is refused."""

    id: str
    """Made when it began: two runs of one question are two."""
    question: str
    """Hash of the conversation."""
    openings: dict[str, str]
    """Hash of each model's rendered prompt."""
    models: NotRequired[dict[str, str]]
    """Names of `base` and `draft`."""
    judge: NotRequired[dict[str, Any]]
    """The `Judge` that it began with, as JSON."""
    policy: NotRequired[dict[str, Any]]
    """Its policy: a `FittedPolicy` as JSON, or the name alone of any other."""


def append_steps(steps: list[Step], writes: Sequence[list[Step]]) -> list[Step]:
    """Reducer of the step list (a batch of writes at once, as `DeltaChannel` wants)."""
    return [*steps, *(step for write in writes for step in write)]


def keep_images(kept: dict[str, Any], writes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Reducer of the images."""
    return {name: block for some in (kept, *writes) for name, block in some.items()}


class SpecReasonInput(TypedDict):
    """What a run needs: a conversation whose last message is the question."""

    messages: Annotated[list[AnyMessage], add_messages]


class SpecReasonOutput(SpecReasonInput, total=False):
    """Everything else is prefixed, so that a parent graph's own `steps` or `answer` is left alone."""

    specreason_run: RunId
    specreason_steps: Annotated[list[Step], DeltaChannel(append_steps, snapshot_frequency=1000)]
    specreason_pending: Pending | None
    specreason_gate: Gate
    """Of the step that is being made."""
    specreason_ended: Ended | None
    """Why the reasoning ended; None while it goes on."""
    specreason_answer: str | None
    """The answer; None with a set `specreason_ended` and `specreason_done` means that there is none."""
    specreason_done: bool
    specreason_usage: UsageByRole
    specreason_seconds: float
    """Active seconds so far, against the deadline."""
    specreason_edit: Edit | None
    """Set from outside, at a checkpoint: what `draft_step` changes before it goes on."""
    specreason_lease: str | None
    """Under which the next node finds what this process holds of the run; a cache, the steps are the truth."""


class SpecReasonState(SpecReasonOutput, total=False):
    """What a thread holds; whoever streams a run's values is not sent the images' bytes with each node."""

    specreason_images: Annotated[dict[str, Any], DeltaChannel(keep_images, snapshot_frequency=1000)]
    """Blocks of the thread's messages that hold an image's bytes, by the reference that stands in for them."""


Update = dict[str, Any]
"""What a node returns."""
