"""Whose turn it is, and why the reasoning ends."""

from __future__ import annotations

from specreason_graph.contract.state import Ended, Step
from specreason_graph.loop.repetition import RECENT, goes_in_circles
from specreason_graph.loop.run import Run


def why_ended(run: Run) -> Ended | None:
    """Why the reasoning ends behind the last kept step; None when it goes on."""
    settings, last = run.settings, run.steps[-1]
    left = run.seconds_left()
    if last["closes"]:
        return "finished"
    if run.reasoning_tokens() >= settings.reasoning_budget:
        return "budget"
    if len(run.steps) >= settings.max_steps:
        return "steps"
    if left is not None and left <= 0:
        return "deadline"
    return None if run.has_room() else "context"


def is_base_turn(run: Run) -> bool:
    """Whether base writes the next step unasked: the first n, and some behind a rejected one."""
    if len(run.steps) < run.settings.first_steps:
        return True
    recent = (
        run.steps[-(run.settings.base_steps_after_reject - 1) :] if run.settings.base_steps_after_reject > 1 else []
    )
    return any(step["accepted"] is False for step in recent)


def closes_loop(steps: list[Step], text: str) -> bool:
    """Whether a step with this text would go in circles."""
    return goes_in_circles([*(step["text"] for step in steps[-RECENT:]), text])


def was_handed_over(steps: list[Step]) -> bool:
    """Whether base was already asked to write its way out of a loop."""
    return any(step["reject_reason"] == "loop" for step in steps)
