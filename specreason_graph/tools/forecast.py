"""Base alone, base that decodes speculatively, SpecReason, or both: how fast each would be, and which to take.

Speculative decoding is what SpecReason has to be set against: it is one flag of the server, and loses no accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from specreason_graph.tools.decoding import Decoding
from specreason_graph.tools.predict import Mode, Steps, Timings, speedup

Arm = Literal["base", "base+decode", "specreason", "specreason+decode"]
ARMS: tuple[Arm, ...] = ("base", "base+decode", "specreason", "specreason+decode")
"""From the simplest to what needs most."""
ACCEPTANCE = 60
"""Percent of drafts accepted where nobody says: in the paper it is 38 to 80 % (section 5.2, QwQ-32B and R1-1.5B)."""
TOKENS = 23.0
"""Tokens of a step where nobody says: the mean of public runs (`profiles.toml`)."""
CLEARLY = 1.05
"""So much faster is worth another server or flag; the formula itself is only as good as that."""


class Speculation(NamedTuple):
    """How base decodes speculatively, or would."""

    decoding: Decoding
    proposed_token: float
    """Seconds that proposing a token takes."""
    how: str
    """What to turn on, or to leave on."""
    source: str
    """Where the tokens a pass are from."""

    def inside(self, timings: Timings) -> Timings:
        """The timings of a pair whose base decodes so."""
        return timings.decoded(self.decoding, self.proposed_token)


class Forecast(NamedTuple):
    """What is to be expected of each arm."""

    ratios: Mapping[Arm, float | None]
    """Times as fast as base alone; None where base can't decode speculatively, or nobody knows what it gains."""
    acceptance: int
    """Percent of drafts accepted."""
    overlap: Mode
    """Of both arms that have SpecReason."""
    advice: str


def forecast(
    timings: Timings,
    speculation: Speculation | str,
    *,
    acceptance: int = ACCEPTANCE,
    tokens: float = TOKENS,
    overlap: Mode = "both",
) -> Forecast:
    """What is to be expected of each arm on a pair.

    Args:
        timings: of the pair, base decoding a token a pass.
        speculation: how base would decode speculatively, or why that is not to be had.
        acceptance: percent of drafts accepted.
        tokens: of a step.
        overlap: what the loop does at the same time.
    """
    steps = Steps(acceptance=acceptance / 100, drafted=tokens, written=tokens)
    ratios: dict[Arm, float | None] = dict.fromkeys(ARMS)
    ratios |= {"base": 1.0, "specreason": speedup(timings, steps, overlap)}
    if isinstance(speculation, Speculation):
        decoded = speculation.inside(timings)
        gain = timings.base_token / decoded.base_token
        ratios |= {"base+decode": gain, "specreason+decode": gain * speedup(decoded, steps, overlap)}
    return Forecast(ratios, acceptance, overlap, advice(ratios, acceptance, speculation))


def choice(ratios: Mapping[Arm, float | None]) -> Arm:
    """The simplest arm that no other is clearly faster than."""
    best: Arm = "base"
    for arm in ARMS:
        if (ratios[arm] or 0) >= CLEARLY * (ratios[best] or 0):
            best = arm
    return best


def advice(ratios: Mapping[Arm, float | None], acceptance: int, speculation: Speculation | str) -> str:
    """One sentence on what to use; arguments are as in `forecast`."""
    told = {arm: f"{ratio:.2f}x" for arm, ratio in ratios.items() if ratio is not None}
    at = f"at {acceptance} % accepted"
    if_accurate = "if accuracy holds there (`specreason calibrate`)"
    how = speculation.how if isinstance(speculation, Speculation) else ""
    match choice(ratios):
        case "base":
            others = "nothing else" if how else f"speculative decoding is not to be had ({speculation}), and SpecReason"
            return f"Use base alone: {others} is {'' if how else 'not '}clearly faster {at}."
        case "base+decode":
            on_top = f"SpecReason on top would make it {told['specreason+decode']} {at}"
            return f"Leave SpecReason off and use {how}: {told['base+decode']} at base's own accuracy; {on_top}."
        case "specreason":
            other = f"decoding on top would make it {told['specreason+decode']}" if how else str(speculation)
            return f"Use SpecReason without decoding: {told['specreason']} {at}, {if_accurate}; {other}."
        case "specreason+decode":
            alone = f"decoding alone is {told['base+decode']}"
            return f"Use both, SpecReason and {how}: {told['specreason+decode']} {at}, {if_accurate}; {alone}."
