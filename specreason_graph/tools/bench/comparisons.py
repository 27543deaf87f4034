"""Which arms a report compares, and in what order it has them."""

from __future__ import annotations

from collections.abc import Sequence

from specreason_graph.tools.bench.outcome import ARMS, BASE, BASE_DECODE, OURS, RANDOM, Arm, Parts, parts_of

BASELINES = (BASE, BASE_DECODE)
"""Base alone, and base with what its server makes of it at no loss: what a user would pick instead."""


def place(arm: Arm) -> tuple[int, str, bool, float]:
    """Where an arm stands: behind its method are other judges, those that decode, and thresholds in rising order."""
    parts = parts_of(arm)
    threshold = float("-inf") if parts.threshold is None else parts.threshold
    return (*ARMS, RANDOM).index(parts.method), parts.judge or "", parts.decodes, threshold


def compared(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """Every arm against the baselines, and ours against its rivals on the same server.

    They are the paper's and accepting at random; and ours as it was chosen is a rival of ours with another judge.
    """
    others = [arm for arm in arms if arm not in BASELINES]
    baselines = [arm for arm in BASELINES if arm in arms]
    pairs = [(BASE_DECODE, BASE)] if len(baselines) == len(BASELINES) else []
    pairs += [(arm, baseline) for baseline in baselines for arm in others]
    return pairs + [(arm, rival) for arm in others for rival in others if _rival(parts_of(arm), parts_of(rival))]


def _rival(arm: Parts, other: Parts) -> bool:
    """Whether an arm is ours, and the other one what a judge of ours has to beat."""
    if arm.method != OURS or arm.decodes != other.decodes:
        return False
    if arm.judge is not None:
        return other.method == RANDOM or other == Parts(OURS, None, arm.decodes, None)
    return arm.threshold is None and (other.method == RANDOM or (other.method, other.threshold) == ("paper", None))
