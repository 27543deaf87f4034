"""When SpecReason pays: the speed-up over base alone that a pair's timings and its acceptance allow (docs/speed.md).

A model of the loop and not a measurement. Every step costs one of four spans, by whether it and the one before it were
accepted; their mean, weighted by how often each follows the other, is set against base's own step. Where base decodes
speculatively, its tokens cost less, in its own reasoning, in its versions of steps and in hedges; a verdict does not,
since it is one pass over a prompt.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from specreason_graph.tools.decoding import Decoding

Mode = Literal["sequential", "look_ahead", "hedge", "both"]
MODES: tuple[Mode, ...] = ("sequential", "look_ahead", "hedge", "both")
"""The loop in the paper; with the draft going on while base judges; with base's own version begun at once; both."""


class Timings(BaseModel):
    """What a pair of servers takes, in seconds, behind a prefix that is in its cache."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_token: PositiveFloat = Field(description="From one of base's tokens to the next (TPOT)")
    base_first: PositiveFloat = Field(description="From a request to base's first token (TTFT)")
    draft_token: PositiveFloat = Field(description="From one of the draft's tokens to the next")
    draft_first: PositiveFloat = Field(description="From a request to the draft's first token")
    judge: PositiveFloat = Field(description="A judge's request: step and request are read, one token comes back")
    beyond: NonNegativeFloat = Field(
        default=0, description="Tokens behind a step's end that base's last pass gives as well; 0 at a token a pass"
    )

    def decoded(self, decoding: Decoding, proposed_token: float) -> Self:
        """The same pair with speculative decoding inside base.

        A request's first token still comes out of its prefill, alone, and reading what was proposed takes a pass no
        longer: so it is on a GPU that has few sequences, and not on a CPU.

        Args:
            decoding: how base decodes.
            proposed_token: seconds that proposing a token takes; 0 for n-grams.
        """
        token = decoding.seconds_a_token(self.base_token, proposed_token)
        return self.model_copy(update={"base_token": token, "beyond": decoding.beyond})


class Steps(BaseModel):
    """What the pair writes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    acceptance: float = Field(ge=0, le=1, description="Part of the drafts that is accepted")
    after_accept: float | None = Field(
        default=None, ge=0, le=1, description="The same for steps behind an accepted one; None: no other"
    )
    drafted: PositiveFloat = Field(default=23, description="Tokens of a drafted step")
    written: PositiveFloat = Field(default=23, description="Tokens of base's own version of it")

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if self.after_accept is not None and 1 - 2 * self.acceptance + self.acceptance * self.after_accept < 0:
            raise ValueError(f"of an acceptance of {self.acceptance:g}, more must come behind accepted steps")
        return self


class Spans(NamedTuple):
    """Seconds of a step by what became of the one before and of itself."""

    accepted_accepted: float
    accepted_rejected: float
    rejected_accepted: float
    rejected_rejected: float


def speedup(timings: Timings, steps: Steps, mode: Mode) -> float:
    """Wall-clock of base alone over the loop's, for long reasoning; base decodes in both as the timings have it.

    Example:
        speedup(Timings(base_token=0.022, base_first=0.023, draft_token=0.003, draft_first=0.004, judge=0.028),
                Steps(acceptance=0.8), "both")  # about 3
    """
    spans, accept = _spans(timings, steps, mode), steps.acceptance
    stays = accept if steps.after_accept is None else steps.after_accept
    parts = Spans(accept * stays, accept * (1 - stays), accept * (1 - stays), 1 - 2 * accept + accept * stays)
    seconds = sum(part * span for part, span in zip(parts, spans, strict=True))
    return steps.written * timings.base_token / seconds


def least_acceptance(timings: Timings, mode: Mode, *, tokens: float = 23) -> float | None:
    """The acceptance from which on the loop is faster than base alone; None: it never is. Steps of `tokens`."""

    def gains(percent: int) -> bool:
        return speedup(timings, Steps(acceptance=percent / 100, drafted=tokens, written=tokens), mode) > 1

    return next((percent / 100 for percent in range(101) if gains(percent)), None)


def _spans(timings: Timings, steps: Steps, mode: Mode) -> Spans:
    draft = steps.drafted * timings.draft_token
    begun = timings.draft_first - timings.draft_token + draft  # a draft that needs a request
    own = timings.base_first + (steps.written - 1 + timings.beyond) * timings.base_token  # base's version, likewise
    judge = timings.judge
    # Behind an accept the draft has gone on, so a step is there when draft and judge have both had their time.
    behind_accept = max(draft, judge) if mode in ("look_ahead", "both") else begun + judge
    behind_reject = begun + judge
    if mode in ("sequential", "look_ahead"):
        return Spans(behind_accept, behind_accept + own, behind_reject, behind_reject + own)
    # Base began with the draft, so a reject ends when both verdict and version are there; behind its own version it
    # has simply gone on, without a request.
    running_on = steps.written * timings.base_token
    return Spans(behind_accept, max(behind_accept, own), behind_reject, max(behind_reject, running_on))
