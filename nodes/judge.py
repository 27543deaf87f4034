"""`judge`: base reads the drafted step once, and it is accepted or rejected."""

from __future__ import annotations

import time

from specreason_graph.ending import closes_loop, was_handed_over, why_ended
from specreason_graph.endpoint.protocol import Usage
from specreason_graph.events import StepJudged, StepKept, StepRejected
from specreason_graph.evidence import DraftedToken, as_base_reads, ask, free_evidence
from specreason_graph.record import accepted_step
from specreason_graph.run import Run
from specreason_graph.scoring import Decision
from specreason_graph.state import (
    Ended,
    Evidence,
    Pending,
    RejectReason,
    SpecReasonState,
    Step,
    Update,
    Verdict,
    Writing,
)
from specreason_graph.steps import drop
from specreason_graph.usage import discarded, used

_UNASKED = Usage(0, 0, 0)


async def judge(state: SpecReasonState, run: Run) -> Update:
    """Decide on the pending step; an accepted one is kept, a rejected one stays pending for `regenerate`."""
    began = time.perf_counter()
    pending = state["specreason_pending"]
    assert pending is not None, "the edge from draft_step leads here only with a drafted step"
    writing = pending["writing"]
    tokens = await as_base_reads(run, writing)
    verdict = await _judged(run, writing, tokens, began)
    run.emit(StepJudged(event="step_judged", index=len(run.steps), verdict=verdict))
    judged = Pending(writing=writing, verdict=verdict)
    if verdict["accepted"]:
        await drop(run, "base")
        return _keep(run, judged, tokens)
    await drop(run, "draft")
    run.usage = discarded(run.usage, "draft", len(writing["ids"]))
    run.emit(StepRejected(event="step_rejected", index=len(run.steps), reason=verdict["reason"]))
    stuck = verdict["reason"] == "loop" and was_handed_over(run.steps)
    return {"specreason_pending": judged, "specreason_ended": "loop" if stuck else None}


async def _judged(run: Run, writing: Writing, tokens: list[DraftedToken], began: float) -> Verdict:
    decision = _at_sight(run, writing, tokens)
    if decision is not None:
        return _verdict(free_evidence(run, writing, tokens), decision, _UNASKED, began)
    evidence, request = await ask(run, writing, tokens)
    run.usage = used(run.usage, "judge", [request], time.perf_counter() - began)
    return _verdict(evidence, run.policy.decide(evidence), request, began)


def _at_sight(run: Run, writing: Writing, tokens: list[DraftedToken]) -> Decision | None:
    """The decision on what needs no request: no step at all, one more round of a loop, one that does not fit."""
    if not writing["text"].strip():
        if not writing["closes"] or not run.steps:
            return _rejected("empty")
        return None if run.judge.spots else (True, None, None)  # a bare end has no step to put a label on
    if closes_loop(run.steps, writing["text"]):
        return _rejected("loop")
    if len(tokens) > run.room("base"):
        return _rejected("too_long")
    return None


def _rejected(reason: RejectReason) -> Decision:
    return False, None, reason


def _verdict(evidence: Evidence, decision: Decision, request: Usage, began: float) -> Verdict:
    accepted, score, reason = decision
    return Verdict(
        **evidence,
        accepted=accepted,
        reason=reason,
        score=score,
        judge_tokens=request.prompt_tokens,
        cached_tokens=request.cached_tokens,
        seconds=time.perf_counter() - began,
    )


def _keep(run: Run, judged: Pending, tokens: list[DraftedToken]) -> Update:
    """The accepted step as a part of the reasoning; a bare end of the reasoning is no step of its own."""
    writing = judged["writing"]
    ended: Ended | None = "finished"
    kept: list[Step] = []
    if writing["text"].strip():
        ids = {"base": [token.id for token in tokens]}
        if not run.same_tokenizer:
            ids["draft"] = writing["ids"]
        kept = [accepted_step(run, judged, ids)]
        run.emit(StepKept(event="step_accepted", step=kept[0]))
        run.steps += kept
        ended = why_ended(run)
    return {"specreason_pending": None, "specreason_steps": kept, "specreason_ended": ended}
