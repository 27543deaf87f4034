"""`draft_step`: the draft model writes the next reasoning step. The first node, so it also opens a fresh run."""

from __future__ import annotations

from langgraph.types import Overwrite

from specreason_graph.contract.events import StepDrafted, StepKept
from specreason_graph.contract.state import Edit, Pending, SpecReasonState, Update
from specreason_graph.loop.ending import is_base_turn
from specreason_graph.loop.human import edited_steps
from specreason_graph.loop.run import Run
from specreason_graph.loop.steps import next_step, writing


async def draft_step(state: SpecReasonState, run: Run) -> Update:
    """Draft up to a step boundary, the end of the reasoning, or the step's bounds; base's own turns draft nothing."""
    edit = state.get("specreason_edit")
    if edit is not None:
        update = await _edited(run, edit)
    else:
        update = _fresh(run) if run.fresh else {}
    if is_base_turn(run):
        return {**update, "specreason_pending": None}
    await writing(run, "draft")
    if run.runs_on("base"):
        await writing(run, "base")  # the hedge
    drafted = await next_step(run, "draft")
    run.emit(StepDrafted(event="step_drafted", index=len(run.steps), text=drafted["text"]))
    return {**update, "specreason_pending": Pending(writing=drafted, verdict=None, asks=False)}


def _fresh(run: Run) -> Update:
    """Clears what an earlier question on this thread left."""
    return {
        "specreason_run": run.identity,
        "specreason_steps": Overwrite([]),
        "specreason_ended": None,
        "specreason_answer": None,
        "specreason_done": False,
        "specreason_edit": None,
    }


async def _edited(run: Run, edit: Edit) -> Update:
    """Makes a person's change, and goes on behind it."""
    steps = await edited_steps(run, edit)
    if edit["text"] is not None:
        run.emit(StepKept(event="step_edited", step=steps[-1]))
    return {"specreason_steps": Overwrite(steps), "specreason_edit": None}
