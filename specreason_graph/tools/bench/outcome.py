"""What one arm came to on one problem: the record that totals, plots and re-judging are made from."""

from __future__ import annotations

from typing import Any, NamedTuple, NotRequired

from typing_extensions import TypedDict

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.state import Ended, Step, UsageByRole
from specreason_graph.judging.catalog import SCORE_THRESHOLD, builtin
from specreason_graph.tools.bench.decode import Decoded

Arm = str
"""`METHOD[:JUDGE][+decode][@THRESHOLD]`, such as `ours`, `ours@0.8`, `base+decode` or `ours:yes-no+decode@0.8`."""
ARMS: tuple[Arm, ...] = ("base", "draft", "paper", "ours")
"""Base alone, draft alone, sequential SpecReason with the paper's judge (greedy score, threshold 7), and ours."""
RANDOM: Arm = "random"
"""The control: accepting at random, at a rate such as `random@0.5`."""
_DECODE = "+decode"
OURS: Arm = "ours"
BASE: Arm = "base"
BASE_DECODE: Arm = BASE + _DECODE


class Parts(NamedTuple):
    """What the name of an arm says."""

    method: str
    """One of `ARMS`, or `random`."""
    judge: str | None
    """Of its own: a judge with its score's threshold, or a fitted policy; ours may have one."""
    decodes: bool
    """Whether base's requests go to the server that decodes speculatively."""
    threshold: float | None
    """Of its own; those that judge may have one."""

    @property
    def plain(self) -> Arm:
        """The arm without its threshold."""
        judge = "" if self.judge is None else f":{self.judge}"
        return self.method + judge + (_DECODE if self.decodes else "")


def parts_of(arm: Arm) -> Parts:
    """Read the name of an arm.

    Raises:
        ConfigError: there is no such arm.
    """
    named, at, threshold = arm.partition("@")
    method, colon, judge = named.removesuffix(_DECODE).partition(":")
    try:
        parts = Parts(method, judge if colon else None, named.endswith(_DECODE), float(threshold) if at else None)
    except ValueError:
        method = ""
    unfit = (at and method in ("base", "draft")) or (colon and (method != OURS or not judge))
    if method not in (*ARMS, RANDOM) or unfit or named == "draft" + _DECODE:
        raise ConfigError(
            f"arm: there is no {arm!r}; known are {', '.join(ARMS)}, random, ours with another judge or policy, such "
            "as ours:yes-no, those of them that ask base with +decode behind, such as base+decode, and thresholds such "
            "as ours@0.8 or ours+decode@0.8"
        )
    return parts


class Outcome(TypedDict):
    """One sample of one arm on one problem."""

    problem: str
    mark: NotRequired[str]
    """Hash of the problem; older journals have none."""
    arm: Arm
    sample: int
    """Which of the k samples, from 0; arms are compared sample by sample."""
    expected: str
    given: str | None
    """The answer that was read from the text; None: there was none."""
    right: bool
    question: NotRequired[str]
    answer: NotRequired[str | None]
    """The reply's text, of base and draft alone with its reasoning; older journals have neither."""
    ended: Ended
    """Why the reasoning ended; of base and draft alone `finished` or `budget`."""
    seconds: float
    first_step_seconds: float | None
    """Until the first step was kept; of base and draft alone, until the first step boundary."""
    steps: list[Step]
    """Empty for base and draft alone. Without token ids."""
    usage: UsageByRole
    """Tokens and seconds of the roles `draft`, `base` and `judge`."""
    decoded: Decoded | None
    """What base's server counted of its speculative decoding; None for arms that do not ask for it, or if unknown."""


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
    gate="always",
)
"""The paper's loop (section 4.1): one call after the other, and the digit that base writes at or above 7 of 9."""

_CHOSEN = {
    "paper": PAPER,
    RANDOM: Settings(judge="random", policy="random", spots=None, score_method=None, gate="always"),
}


def chosen_by(arm: Arm) -> dict[str, Any]:
    """What a looping arm sets, whatever else was chosen.

    Raises:
        ConfigError: there is no such arm.
    """
    parts = parts_of(arm)
    own = {} if parts.threshold is None else {"threshold": parts.threshold}
    method = _CHOSEN[parts.method].model_dump(exclude_unset=True) if parts.method in _CHOSEN else {}
    return {**method, **(_judged_by(parts.judge) if parts.judge else {}), **own}


def _judged_by(name: str) -> dict[str, Any]:
    if name in builtin().judges:
        return {"judge": name, "policy": SCORE_THRESHOLD, "threshold": None}
    return {"judge": None, "policy": name, "threshold": None, "score_method": None, "spots": None}
