"""`regenerate`: base writes the step itself, in place of a rejected one or because it is base's turn."""

from __future__ import annotations

from specreason_graph.contract.events import StepKept
from specreason_graph.contract.state import Ended, SpecReasonState, Step, Update, Writing
from specreason_graph.loop.ending import closes_loop, why_ended
from specreason_graph.loop.record import base_step, ids_of
from specreason_graph.loop.run import Run
from specreason_graph.loop.steps import next_step


async def regenerate(state: SpecReasonState, run: Run) -> Update:
    """Write a step with base and keep it; what base says is not judged."""
    writing = await next_step(run, "base")
    rejected = state["specreason_pending"]
    kept: list[Step] = []
    ended = _no_step(run, writing)
    if ended is None:
        kept = [base_step(run, writing, rejected, await ids_of(run, writing["text"], writing["ids"]))]
        run.emit(StepKept(event="step_regenerated", step=kept[0]))
        run.steps += kept
        ended = why_ended(run)
    return {
        "specreason_pending": None,
        "specreason_steps": kept,
        "specreason_ended": ended,
    }


def _no_step(run: Run, writing: Writing) -> Ended | None:
    """Why the reasoning ends with what base wrote left out; None when it is a step."""
    if not writing["text"].strip():
        left = run.seconds_left()
        if writing["closes"]:
            return "finished"
        if left is not None and left <= 0:
            return "deadline"
        # A last step of a few tokens may be nothing but the newlines that a cut drops.
        return "budget" if writing["cut"] and run.step_bounds().tokens < run.settings.step_tokens else "loop"
    return "loop" if closes_loop(run.steps, writing["text"]) else None
