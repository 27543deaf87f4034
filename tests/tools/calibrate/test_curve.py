"""What each threshold accepts, and which one is chosen."""

from __future__ import annotations

from itertools import pairwise
from statistics import fmean

import numpy as np
import pytest

from specreason_graph.tools.calibrate.curve import Point, curve, lowest_within


def test_the_curve_goes_from_accepting_all_to_accepting_less() -> None:
    rng = np.random.default_rng(3)
    fine = [bool(rng.random() < 0.7) for _ in range(60)]
    problems = [f"p{row // 4}" for row in range(60)]
    points = curve(rng.random(60).tolist(), fine, problems, solved=20)
    assert (points[0]["threshold"], points[0]["acceptance"]) == (0, 1)
    assert points[0]["bad_rate"] == pytest.approx(1 - fmean(fine))
    for before, after in pairwise(points):
        assert before["threshold"] < after["threshold"]
        assert before["acceptance"] >= after["acceptance"]
        assert before["lost"] >= after["lost"]


def test_a_problem_is_lost_once_however_many_of_its_bad_steps_are_accepted() -> None:
    """Of four that base solves; a step at the threshold is accepted."""
    points = curve([0.9, 0.2, 0.3, 0.5, 0.8], [True, False, False, False, True], ["a", "a", "a", "b", "c"], solved=4)
    assert [(p["threshold"], p["acceptance"], p["bad_rate"], p["lost"]) for p in points] == [
        (0.0, 1.0, pytest.approx(3 / 5), 2 / 4),
        (0.2, 1.0, pytest.approx(3 / 5), 2 / 4),
        (0.3, 0.8, pytest.approx(2 / 4), 2 / 4),
        (0.5, 0.6, pytest.approx(1 / 3), 1 / 4),
        (0.8, 0.4, 0.0, 0.0),
        (0.9, 0.2, 0.0, 0.0),
        (1.0, 0.0, 0.0, 0.0),
    ]


def point(threshold: float, acceptance: float, bad_rate: float, lost: float) -> Point:
    return Point(threshold=threshold, acceptance=acceptance, bad_rate=bad_rate, lost=lost)


POINTS = [point(0, 1, 0.2, 0.5), point(0.3, 0.7, 0.1, 0.3), point(0.5, 0.5, 0.12, 0.2), point(0.8, 0.3, 0.05, 0.1)]


@pytest.mark.parametrize(
    ("targets", "threshold"),
    [
        ({"bad_rate": 0.2}, 0),
        ({"bad_rate": 0.11}, 0.8),  # 0.3 would keep to it by luck: a stricter one does not
        ({"lost": 0.2}, 0.5),
        ({"lost": 0.3, "bad_rate": 0.05}, 0.8),
        ({"bad_rate": 0.04}, None),
        ({"lost": 0.0}, None),
    ],
)
def test_the_lowest_threshold_within_the_target_is_chosen(targets: dict[str, float], threshold: float | None) -> None:
    chosen = lowest_within([*POINTS, point(1, 0, 0, 0)], **targets)
    assert (chosen and chosen["threshold"]) == threshold
