"""`regenerate`: base writes the step itself, in place of a rejected one or because it is base's turn."""

from __future__ import annotations

from specreason_graph.contract.events import StepKept
from specreason_graph.contract.state import Ended, SpecReasonState, Update, WrittenStep
from specreason_graph.generation.ledger import step_ids
from specreason_graph.loop.bounds import room, step_bounds, why_ended
from specreason_graph.loop.record import base_step, ids_of
from specreason_graph.loop.run import Run
from specreason_graph.loop.steps import closes_loop, next_step


async def regenerate(state: SpecReasonState, run: Run) -> Update:
    """Write a step with base and keep it; what base says is not judged."""
    bounds = step_bounds(run)
    if bounds.tokens < 1 or bounds.seconds == 0:  # a run that is resumed may have less left than when it stopped
        return {"specreason_pending": None, "specreason_ended": why_ended(run) or "context"}
    written = await next_step(run, "base")
    ended = _no_step(run, written, bounds.tokens)
    if ended is not None:
        return _left_out(run, written, ended)
    try:
        ids = await ids_of(run, written["text"], written["ids"])
    except BaseException:
        run.bill.discarded("base", len(written["ids"]))
        raise
    if run.settings.answer_by == "draft" and len(step_ids(ids, "draft")) > room(run, "draft"):
        return _left_out(run, written, "context")  # in the draft's tokens it leaves no room for the answer
    step = base_step(run, written, state["specreason_pending"], ids)
    run.emit(StepKept(event="step_regenerated", step=step))
    ended = why_ended(run.behind([*run.steps, step]))
    return {"specreason_pending": None, "specreason_steps": [step], "specreason_ended": ended}


def _left_out(run: Run, written: WrittenStep, ended: Ended) -> Update:
    """The reasoning ends without what base wrote."""
    run.bill.discarded("base", len(written["ids"]))
    return {"specreason_pending": None, "specreason_ended": ended}


def _no_step(run: Run, written: WrittenStep, most: int) -> Ended | None:
    """Why the reasoning ends with what base wrote left out; None when it is a step."""
    if written["text"].strip() or written["loops"]:
        return "loop" if closes_loop(run, written) else None
    if written["closes"]:
        return run.closed(written["ended_with"])
    if run.clock.left_to_reason() == 0:
        return "deadline"
    # A last step of a few tokens may be nothing but the newlines that a cut drops.
    return "budget" if written["cut"] and most < run.settings.step_tokens else "loop"
