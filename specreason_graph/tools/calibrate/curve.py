"""Risk against acceptance: what each threshold would have accepted, how much of it bad, and what answers that costs."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

from typing_extensions import TypedDict


class Point(TypedDict):
    """One threshold on the probability that a step is fine; fractions of 1."""

    threshold: float
    acceptance: float
    bad_rate: float
    """Share of the accepted steps that are bad."""
    lost: float
    """Share of the problems that base solves in which at least one bad step is accepted."""


def curve(probabilities: Sequence[float], fine: Sequence[bool], problems: Sequence[str], solved: int) -> list[Point]:
    """A point for every threshold that changes a decision, in rising order of threshold.

    Args:
        probabilities: of each step, by a fit that left its problem out.
        fine: its label.
        problems: its problem.
        solved: how many problems base solves alone, those without a labelled step included.
    """
    thresholds = sorted({0.0, 1.0, *(floor(1000 * probability) / 1000 for probability in probabilities)})
    points = []
    for threshold in thresholds:
        accepted = [row for row, probability in enumerate(probabilities) if probability >= threshold]
        bad = [row for row in accepted if not fine[row]]
        points.append(
            Point(
                threshold=threshold,
                acceptance=len(accepted) / len(probabilities),
                bad_rate=len(bad) / len(accepted) if accepted else 0.0,
                lost=len({problems[row] for row in bad}) / solved,
            )
        )
    return points


def lowest_within(points: Sequence[Point], *, lost: float | None = None, bad_rate: float | None = None) -> Point | None:
    """The point of most acceptance that keeps to a target, and so does every stricter one; None: nothing does."""
    best = None
    for point in reversed(points):
        if (lost is not None and point["lost"] > lost) or (bad_rate is not None and point["bad_rate"] > bad_rate):
            break
        best = point
    return best if best is not None and best["acceptance"] > 0 else None
