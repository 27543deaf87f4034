"""What one arm came to on one problem: the record that totals, plots and re-judging are made from."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.state import Ended, Step, UsageByRole
from specreason_graph.judging.catalog import SCORE_THRESHOLD

Arm = str
"""One of `ARMS`, or `random`; those that judge may have a threshold behind an `@`, such as `ours@0.8`."""
ARMS: tuple[Arm, ...] = ("base", "draft", "paper", "ours")
"""Base alone, draft alone, sequential SpecReason with the paper's judge (greedy score, threshold 7), and ours."""
RANDOM: Arm = "random"
"""The control: accepting at random, at a rate such as `random@0.5`."""


class Outcome(TypedDict):
    """One sample of one arm on one problem."""

    problem: str
    arm: Arm
    sample: int
    """Which of the k samples, from 0; arms are compared sample by sample."""
    expected: str
    given: str | None
    """The answer that was read from the text; None: there was none."""
    right: bool
    ended: Ended
    """Why the reasoning ended; of base and draft alone `finished` or `budget`."""
    seconds: float
    first_step_seconds: float | None
    """Until the first step was kept; of base and draft alone, until the first step boundary."""
    steps: list[Step]
    """Empty for base and draft alone. Without token ids."""
    usage: UsageByRole
    """Tokens and seconds of the roles `draft`, `base` and `judge`."""


PAPER = Settings(
    judge="paper",
    policy=SCORE_THRESHOLD,
    score_method="greedy",
    threshold=7,
    spots=None,
    first_steps=0,
    base_steps_after_reject=1,
    look_ahead=False,
    hedge=False,
)
"""The paper's loop (section 4.1): one call after the other, and the digit that base writes at or above 7 of 9."""

_CHOSEN = {"paper": PAPER, RANDOM: Settings(judge="random", policy="random", spots=None, score_method=None)}


def chosen_by(arm: Arm) -> dict[str, Any]:
    """What a looping arm sets, whatever else was chosen.

    Raises:
        ConfigError: there is no such arm.
    """
    method, _, threshold = arm.partition("@")
    try:
        own = {"threshold": float(threshold)} if threshold else {}
    except ValueError:
        method = ""
    if method not in (*ARMS, RANDOM) or (threshold and method in ("base", "draft")):
        raise ConfigError(
            f"arm: there is no {arm!r}; known are {', '.join(ARMS)}, random, and thresholds such as ours@0.8"
        )
    return {**(_CHOSEN[method].model_dump(exclude_unset=True) if method in _CHOSEN else {}), **own}
