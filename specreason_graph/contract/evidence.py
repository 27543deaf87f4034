"""Evidence on a drafted step, in plain dicts, since a checkpoint should load without this package's classes."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict  # pydantic wants this one below Python 3.12


class Spot(TypedDict):
    """A drafted token that base was asked about."""

    text: str
    """What the token stands for; empty for the one that closes the reasoning."""
    place: int
    """Which token of the step it is, from 0, as base reads it; the one that closes the reasoning is behind the last."""
    draft_logprob: float | None
    base_logprob: float
    at_most: bool
    """True when the token is not among those the server lists, so `base_logprob` is an upper bound."""
    alternative: int | None
    """The token that base finds likeliest there, the drafted one left out; None where that is not known."""
    lead: float | None
    """Its log-probability less the drafted token's: below 0 where base would have written what the draft did."""
    start: NotRequired[int]
    """Where in the step's text it begins, in characters; older records do not say."""


class Evidence(TypedDict):
    """What a drafted step is judged on: all that a policy may use, so any recorded step can be judged again."""

    label_probs: dict[str, float] | None
    """Label to probability, over the whole vocabulary: they sum to `label_mass`. None: no label was asked for."""
    label_mass: float | None
    says_label: bool | None
    """Whether base's likeliest token is a label."""
    spots: list[Spot] | None
    unasked: float | None
    """The draft's log-probability of the least sure token that base was not asked about; None: there is none."""
    draft_logprobs: list[float]
    """The draft's own, of every token of its step: they come free."""
    tokens: int
    """Of the step, in base's vocabulary; 0 is a bare end of the reasoning."""
    place: int
    """Which step of the reasoning it would be, from 0."""
    ends: bool
    """Whether it ends the reasoning."""
    agreement: float | None
    """1 when it comes to the same result as base's own version of the step, 0 when not; None without such."""
