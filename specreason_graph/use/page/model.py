"""What a run's page shows; `specreason view --json` prints it, and the templates know nothing else."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from specreason_graph.contract.settings import Role
from specreason_graph.contract.state import Source
from specreason_graph.use.page.differences import Piece
from specreason_graph.use.page.judging import Judging
from specreason_graph.use.page.times import Times


class Asked(BaseModel):
    """A stretch of a drafted step that base was asked about."""

    start: int
    """In characters of the drafted text, as `length` is."""
    length: int
    base: float
    """Base's log-probability; at most that where `at_most`."""
    draft: float | None
    at_most: bool
    lead: float | None
    """How far base's own likeliest other token is ahead, in log-probability."""


class Drafted(BaseModel):
    """What the draft wrote for a step, token by token."""

    pieces: list[Piece]
    starts: list[int]
    """Where each token begins, in characters; empty where the record does not say."""
    logprobs: list[float]
    """The draft's own."""
    asked: list[Asked]


class PageStep(BaseModel):
    """A step of the reasoning."""

    index: int
    source: Source
    decision: Literal["accepted", "rejected"] | None
    """None: nothing was judged."""
    why: str
    """Why it was rejected, or why base wrote it unasked, in words; else empty."""
    human: str | None
    score: float | None
    threshold: float
    drafted: Drafted | None
    kept: list[Piece] | None
    """What base or a person wrote; None: the drafted text was kept."""
    by_hand: bool
    """Whether a person changed it when it was kept already: `drafted` is what it read before, whoever wrote that."""
    cut: bool
    tokens: dict[Literal["draft", "base"], int]
    seconds: dict[Literal["draft", "judge", "base"], float]
    """That were waited for."""


class Scale(BaseModel):
    """From where to where values are drawn."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Where a value is on it, in percent."""
        return round(100 * min(1.0, max(0.0, (value - self.low) / ((self.high - self.low) or 1.0))), 2)


class PendingStep(BaseModel):
    """What one model wrote for the next step, of a run that goes on."""

    role: Role
    text: str
    waits_for: str
    """In words."""


class RoleTokens(BaseModel):
    """What one role read and wrote."""

    written: int
    discarded: int
    read: int
    cached: int | None


class RunPage(BaseModel):
    """One run."""

    title: str
    about: str
    """What else it is called: its arm, and whether it was right."""
    question: str
    answer: str | None
    ended: str
    """In words."""
    goes_on: bool
    """Whether more may come."""
    models: dict[str, str]
    seconds: float
    accepted: int
    judged: int
    draft_share: float | None
    """Of the kept reasoning's tokens, as a fraction."""
    tokens: dict[str, RoleTokens]
    scale: Scale
    steps: list[PageStep]
    pending: list[PendingStep]
    times: Times | None
    judging: Judging | None
