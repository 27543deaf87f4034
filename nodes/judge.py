"""`judge`: base reads the drafted step once, and it is accepted or rejected; by a person where that is unsure."""

from __future__ import annotations

import time

from specreason_graph.contract.events import StepJudged, StepKept, StepRejected, StepUnsure
from specreason_graph.contract.state import Evidence, Pending, RejectReason, SpecReasonState, Update, Verdict, Writing
from specreason_graph.endpoint.protocol import Usage
from specreason_graph.generation.usage import discarded, used
from specreason_graph.judging.evidence import DraftedToken, as_base_reads, ask, free_evidence
from specreason_graph.judging.scoring import Decision
from specreason_graph.loop.ending import closes_loop, was_handed_over, why_ended
from specreason_graph.loop.human import decision, is_unsure
from specreason_graph.loop.record import accepted_step
from specreason_graph.loop.run import Run
from specreason_graph.loop.steps import drop

_UNASKED = Usage(0, 0, 0)


async def judge(state: SpecReasonState, run: Run) -> Update:
    """Decide on the pending step; an accepted one is kept, a rejected one stays pending for `regenerate`.

    One that a person has to decide on stays pending with its verdict: the edge leads back here, to wait for that.
    """
    began = time.perf_counter()
    pending = state["specreason_pending"]
    assert pending is not None, "the edge from draft_step leads here only with a drafted step"
    if pending["asks"] and pending["verdict"] is not None:
        return await _by_a_person(run, pending, pending["verdict"])
    writing = pending["writing"]
    tokens = await as_base_reads(run, writing)
    verdict = await _judged(run, writing, tokens, began)
    run.emit(StepJudged(event="step_judged", index=len(run.steps), verdict=verdict))
    judged = Pending(writing=writing, verdict=verdict, asks=is_unsure(run, verdict))
    if judged["asks"]:
        for role in [*run.streams]:  # no person is as fast as their lease
            await drop(run, role)
        run.emit(StepUnsure(event="step_unsure", index=len(run.steps)))
        return {"specreason_pending": judged}
    if verdict["accepted"]:
        await drop(run, "base")
        return _keep(run, judged, tokens)
    await drop(run, "draft")
    return _reject(run, judged, verdict["reason"])


async def _by_a_person(run: Run, pending: Pending, verdict: Verdict) -> Update:
    """Waits for an answer first, then does as it says; base is not asked again."""
    choice, own = await decision(run, pending, verdict)
    if own is not None:
        run.usage = discarded(run.usage, "draft", len(pending["writing"]["ids"]))
        return _kept(run, StepKept(event="step_edited", step=own))
    accepted = choice == "accept"
    decided = Verdict(**{**verdict, "accepted": accepted, "reason": None if accepted else "human", "human": choice})
    judged = Pending(writing=pending["writing"], verdict=decided, asks=False)
    if accepted:
        return _keep(run, judged, await as_base_reads(run, pending["writing"]))
    return _reject(run, judged, "human")


async def _judged(run: Run, writing: Writing, tokens: list[DraftedToken], began: float) -> Verdict:
    decision = _at_sight(run, writing, tokens)
    if decision is not None:
        return _verdict(free_evidence(run, writing, tokens), decision, _UNASKED, began)
    evidence, request = await ask(run, writing, tokens)
    run.usage = used(run.usage, "judge", [request], time.perf_counter() - began)
    return _verdict(evidence, run.policy.decide(evidence, run.steps), request, began)


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
        human=None,
        judge_tokens=request.prompt_tokens,
        cached_tokens=request.cached_tokens,
        seconds=time.perf_counter() - began,
    )


def _keep(run: Run, judged: Pending, tokens: list[DraftedToken]) -> Update:
    """The accepted step as a part of the reasoning; a bare end of the reasoning is no step of its own."""
    writing = judged["writing"]
    if not writing["text"].strip():
        return {"specreason_pending": None, "specreason_ended": "finished"}
    ids = {"base": [token.id for token in tokens]}
    if not run.same_tokenizer:
        ids["draft"] = writing["ids"]
    return _kept(run, StepKept(event="step_accepted", step=accepted_step(run, judged, ids)))


def _kept(run: Run, told: StepKept) -> Update:
    run.emit(told)
    run.steps.append(told["step"])
    return {"specreason_pending": None, "specreason_steps": [told["step"]], "specreason_ended": why_ended(run)}


def _reject(run: Run, judged: Pending, reason: RejectReason | None) -> Update:
    run.usage = discarded(run.usage, "draft", len(judged["writing"]["ids"]))
    run.emit(StepRejected(event="step_rejected", index=len(run.steps), reason=reason))
    stuck = reason == "loop" and was_handed_over(run.steps)
    return {"specreason_pending": judged, "specreason_ended": "loop" if stuck else None}
