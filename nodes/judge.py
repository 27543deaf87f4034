"""`judge`: base reads the drafted step once, and it is accepted or rejected; by a person where that is unsure."""

from __future__ import annotations

import asyncio
import time

from specreason_graph.contract.errors import MalformedResponse, NoLogprobs
from specreason_graph.contract.events import StepJudged, StepKept, StepRejected, StepUnsure
from specreason_graph.contract.state import (
    Pending,
    RejectReason,
    SpecReasonState,
    Update,
    Verdict,
    WrittenStep,
)
from specreason_graph.endpoint.protocol import Usage
from specreason_graph.judging.evidence import DraftedToken, ask, free_evidence
from specreason_graph.judging.scoring import Decision
from specreason_graph.loop.bounds import why_ended
from specreason_graph.loop.human import is_unsure, persons_decision
from specreason_graph.loop.record import accepted_step, verdict_on
from specreason_graph.loop.run import Run
from specreason_graph.loop.steps import as_read_by_base, closes_loop, was_handed_over, without_call


async def judge(state: SpecReasonState, run: Run) -> Update:
    """Decide on the pending step; an accepted one is kept, a rejected one stays pending for `regenerate`.

    One that a person has to decide on stays pending with its verdict: the edge leads back here, to wait for that.
    """
    began = time.perf_counter()
    pending = state["specreason_pending"]
    assert pending is not None, "the edge from draft_step leads here only with a drafted step"
    drafted = pending["drafted"]
    if pending["status"] == "unsure" and pending["verdict"] is not None:
        return await _by_a_person(run, pending, pending["verdict"])
    limit = asyncio.timeout(run.clock.left_to_reason())
    try:
        async with limit:
            drafted, tokens = await as_read_by_base(run, without_call(run, drafted))
            verdict = await _judged(run, drafted, tokens, began)
    except TimeoutError:
        if not limit.expired():  # a policy's own
            raise
        await run.overlap.drop()
        run.bill.discarded("draft", len(drafted["ids"]))
        return {"specreason_pending": None, "specreason_ended": "deadline"}
    run.emit(StepJudged(event="step_judged", index=len(run.steps), verdict=verdict))
    if is_unsure(run, verdict):
        await run.overlap.drop()  # no person is as fast as a lease
        run.emit(StepUnsure(event="step_unsure", index=len(run.steps)))
        return {"specreason_pending": Pending(drafted=drafted, verdict=verdict, status="unsure")}
    run.pair.live.load.decided(len(drafted["ids"]), drafted["seconds"], accepted=verdict["accepted"])
    if verdict["accepted"]:
        await run.overlap.drop("base")
        return _keep(run, drafted, tokens, verdict)
    await run.overlap.drop("draft")
    return _reject(run, drafted, verdict)


async def _by_a_person(run: Run, pending: Pending, verdict: Verdict) -> Update:
    """Waits for an answer first, then does as it says; base is not asked again."""
    drafted = pending["drafted"]
    choice, own = await persons_decision(run, pending, verdict)
    if own is not None:
        run.bill.discarded("draft", len(drafted["ids"]))
        return _kept(run, StepKept(event="step_edited", step=own))
    accepted = choice == "accept"
    decided = Verdict(**{**verdict, "accepted": accepted, "reason": None if accepted else "human", "human": choice})
    if accepted:
        return _keep(run, *await as_read_by_base(run, drafted), decided)
    return _reject(run, drafted, decided)


async def _judged(run: Run, drafted: WrittenStep, tokens: list[DraftedToken], began: float) -> Verdict:
    decision = _at_sight(run, drafted)
    if decision is not None:
        return verdict_on(run, free_evidence(drafted, tokens, len(run.steps)), decision, Usage(), began)
    try:
        with run.pair.live.load.judging():
            evidence, request = await ask(run.inquiry(), drafted, tokens)
    except (MalformedResponse, NoLogprobs):
        if not run.settings.degrade:
            raise
        return verdict_on(run, free_evidence(drafted, tokens, len(run.steps)), _rejected("unusable"), Usage(), began)
    run.bill.used("judge", [request], time.perf_counter() - began)
    return verdict_on(run, evidence, run.policy.decide(evidence, run.steps), request, began)


def _at_sight(run: Run, drafted: WrittenStep) -> Decision | None:
    """The decision on what needs no request: no step at all, a loop, or one more round of one."""
    if not drafted["text"].strip() and not drafted["loops"]:
        if run.closed(drafted["ended_with"]) == "call":
            return _rejected("call")
        return None if drafted["closes"] and (run.steps or drafted["ended_with"]) else _rejected("empty")
    return _rejected("loop") if closes_loop(run, drafted) else None


def _rejected(reason: RejectReason) -> Decision:
    return False, None, reason


def _keep(run: Run, drafted: WrittenStep, tokens: list[DraftedToken], verdict: Verdict) -> Update:
    """The accepted step as a part of the reasoning; a bare end of the reasoning is no step of its own."""
    if not drafted["text"].strip():
        run.bill.discarded("draft", len(drafted["ids"]))
        return {"specreason_pending": None, "specreason_ended": run.closed(drafted["ended_with"])}
    ids = {"base": [token.id for token in tokens]}
    if not run.same_tokenizer:
        ids["draft"] = drafted["ids"]
    return _kept(run, StepKept(event="step_accepted", step=accepted_step(run, drafted, verdict, ids)))


def _kept(run: Run, told: StepKept) -> Update:
    run.emit(told)
    ended = why_ended(run.behind([*run.steps, told["step"]]))
    return {"specreason_pending": None, "specreason_steps": [told["step"]], "specreason_ended": ended}


def _reject(run: Run, drafted: WrittenStep, verdict: Verdict) -> Update:
    run.bill.discarded("draft", len(drafted["ids"]))
    run.emit(StepRejected(event="step_rejected", index=len(run.steps), reason=verdict["reason"]))
    # A step that is a loop by itself is the draft's trouble, however often: what is kept does not go in circles.
    stuck = verdict["reason"] == "loop" and not drafted["loops"] and was_handed_over(run)
    return {
        "specreason_pending": Pending(drafted=drafted, verdict=verdict, status="rejected"),
        "specreason_ended": "loop" if stuck else None,
    }
