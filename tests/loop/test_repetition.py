"""Reasoning that goes in circles is seen, and reasoning that only looks alike is left alone."""

import json
from pathlib import Path

import pytest

from specreason_graph.loop.repetition import goes_in_circles

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "looping_draft.json").read_text())


@pytest.mark.parametrize(
    "steps",
    [
        ["So x = 3.\n\n", "So x = 3.\n\n"],
        ["So x = 3.\n\n", "  so  X = 3. \n\n"],
        ["1. Check the sum again.", "2. Check the sum again."],
        ["Start.", "Try A.", "Try B.", "Try A.", "Try B."],
        [
            "The total is 240 coins.",
            "Day 5 adds 10.",
            "The total is 240 coins.",
            "Day 6: 12.",
            "The total is 240 coins.",
        ],
        ["A", "B", "C", "D", "A", "B", "C", "D"],
        [f"The remaining apples that were not eaten on that day are counted as {n}." for n in (1, 2, 3, 4)],
    ],
)
def test_loops_are_seen(steps: list[str]) -> None:
    assert goes_in_circles(steps)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        ["Only one."],
        ["Try A.", "Try B.", "Try A."],
        ["Let's check:", "2 + 2 = 4.", "Let's check:", "3 + 3 = 6.", "Let's check:", "4 + 4 = 8."],
        ["Tom has 3 apples.", "Ann has 4 apples.", "So 3 + 4 = 7."],
        ["Let n = 1: 1 + 2 = 3.", "Let n = 2: 4 + 2 = 6.", "Both are multiples of 3."],
    ],
)
def test_progress_is_no_loop(steps: list[str]) -> None:
    assert not goes_in_circles(steps)


def test_a_recorded_run_of_a_real_draft_that_never_ended() -> None:
    """It went on to the end of its context; here it must be noticed long before, and not in its sound beginning."""
    steps = RECORDED["steps"]
    seen = next(n for n in range(1, len(steps) + 1) if goes_in_circles(steps[:n]))
    assert RECORDED["loop_begins"] < seen <= RECORDED["loop_begins"] + 6 < len(steps)
