"""`draft_step`: the draft model writes the next reasoning step. The first node, so it also opens a fresh run."""

from __future__ import annotations

from dataclasses import replace

from langgraph.types import Overwrite

from specreason_graph.contract.errors import EndpointError
from specreason_graph.contract.events import DraftGone, StepDrafted, StepKept
from specreason_graph.contract.state import Edit, Ended, Pending, SpecReasonState, Update
from specreason_graph.loop.bounds import is_base_turn, why_ended
from specreason_graph.loop.gate import DRAFT_GONE, gate_of
from specreason_graph.loop.human import edited_steps
from specreason_graph.loop.reached import is_gone
from specreason_graph.loop.run import Run
from specreason_graph.loop.so_far import cleared, undecided
from specreason_graph.loop.steps import begin, hedge, next_step


async def draft_step(state: SpecReasonState, run: Run) -> Update:
    """Draft up to a step boundary, the end of the reasoning, or the step's bounds; base's own turns draft nothing."""
    edit = state.get("specreason_edit")
    if edit is not None and not _asks_anew(state, run):
        run, update = await _edited(run, edit)
    else:
        update = cleared(run.identity) if run.fresh else {}
    if not run.fresh:  # one that waited when the question was sent again
        run.bill.discarded("draft", undecided(state.get("specreason_pending")))
    run = replace(run, gate=gate_of(run))
    ended = _ended_before(state, run)
    if ended is not None or is_base_turn(run):
        return {**update, **await _undrafted(run, ended)}
    try:
        await begin(run, "draft")
        await hedge(run)
        drafted = await next_step(run, "draft")
    except EndpointError as error:
        if not is_gone(error, run.settings):
            raise
        return {**update, **await _undrafted(replace(run, gate=DRAFT_GONE), None)}
    run.emit(StepDrafted(event="step_drafted", index=len(run.steps), text=drafted["text"]))
    pending = Pending(drafted=drafted, verdict=None, status="drafted")
    return {**update, "specreason_gate": run.gate, "specreason_pending": pending}


async def _undrafted(run: Run, ended: Ended | None) -> Update:
    """Base writes the next step, or the reasoning is over."""
    if run.gate["level"] == "base":
        await run.overlap.drop("draft")
    if run.gate["why"] == "draft_gone":
        run.emit(DraftGone(event="draft_gone", index=len(run.steps)))
    return {"specreason_gate": run.gate, "specreason_pending": None, "specreason_ended": ended}


def _asks_anew(state: SpecReasonState, run: Run) -> bool:
    """Whether the question is another than the one whose steps were changed; the change is nothing to it."""
    before = state.get("specreason_run")
    return run.fresh and before is not None and before["question"] != run.identity["question"]


def _ended_before(state: SpecReasonState, run: Run) -> Ended | None:
    """Why nothing is to be drafted: a question is sent again whose answer failed, or settings leave nothing."""
    if not run.fresh and state.get("specreason_edit") is None and (ended := state.get("specreason_ended")) is not None:
        return ended
    return why_ended(run)


async def _edited(run: Run, edit: Edit) -> tuple[Run, Update]:
    """Makes a person's change, and goes on behind it."""
    steps = await edited_steps(run, edit)
    for dropped in run.steps[edit["index"] :]:
        run.bill.discarded("draft", dropped["draft_tokens"] if dropped["source"] == "draft" else 0)
        run.bill.discarded("base", dropped["base_tokens"])
    if edit["text"] is not None:
        run.emit(StepKept(event="step_edited", step=steps[-1]))
    return run.behind(steps), {"specreason_steps": Overwrite(steps), "specreason_edit": None}
