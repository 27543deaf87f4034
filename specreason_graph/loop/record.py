"""What a run leaves behind of every kept step."""

from __future__ import annotations

import time
from typing import cast

from specreason_graph.contract.errors import EndpointError
from specreason_graph.contract.evidence import Evidence
from specreason_graph.contract.settings import Role
from specreason_graph.contract.state import Pending, Source, Span, Step, Verdict, WrittenStep
from specreason_graph.endpoint.protocol import Usage
from specreason_graph.generation.ledger import encode_step
from specreason_graph.judging.scoring import Decision
from specreason_graph.loop.reached import is_gone
from specreason_graph.loop.run import Run


async def ids_of(run: Run, text: str, base: list[int]) -> dict[str, list[int]]:
    """A step that the draft did not write, as the ledgers hold it; `base` are its ids there.

    Those of a draft that is gone are found when it is back.
    """
    if run.same_tokenizer:
        return {"base": base}
    try:
        return {"base": base, "draft": (await encode_step(run.pair.draft, text)).ids}
    except EndpointError as error:
        if not is_gone(error, run.settings):
            raise
        return {"base": base}


def verdict_on(run: Run, evidence: Evidence, decision: Decision, request: Usage, began: float) -> Verdict:
    """What was decided on a step, on which evidence, and what that took since `began` (`time.perf_counter`)."""
    accepted, score, reason = decision
    return Verdict(
        **evidence,
        accepted=accepted,
        reason=reason,
        score=score,
        human=None,
        judge_tokens=request.prompt_tokens,
        cached_tokens=request.cached_tokens,
        began=began - run.clock.zero,
        seconds=time.perf_counter() - began,
    )


def accepted_step(run: Run, drafted: WrittenStep, verdict: Verdict, ids: dict[str, list[int]]) -> Step:
    """A drafted step that was let pass."""
    return _step(run, "draft", drafted["text"], drafted, verdict, ids, end=drafted)


def base_step(run: Run, written: WrittenStep, rejected: Pending | None, ids: dict[str, list[int]]) -> Step:
    """A step that base wrote: in the place of a rejected one, or unasked."""
    drafted, verdict = (rejected["drafted"], rejected["verdict"]) if rejected else (None, None)
    step = _step(run, "base", written["text"], drafted, verdict, ids, end=written)
    step["base_tokens"] = len(written["ids"])
    step["seconds"]["regenerate"], step["cached_tokens"]["regenerate"] = written["seconds"], written["cached_tokens"]
    return step


def human_step(run: Run, text: str, before: str, rejected: Pending | None, ids: dict[str, list[int]]) -> Step:
    """A step that a person wrote in the place of one that read `before`; it ends the reasoning where that did."""
    drafted, verdict = (rejected["drafted"], rejected["verdict"]) if rejected else (None, None)
    step = _step(run, "human", text, drafted, verdict, ids, end=drafted)
    step["rejected_text"], step["human"], step["cut"] = before, "edit", False
    if rejected:
        step["accepted"], step["reject_reason"] = False, "human"
    return step


def _step(
    run: Run,
    source: Source,
    text: str,
    drafted: WrittenStep | None,
    verdict: Verdict | None,
    ids: dict[str, list[int]],
    *,
    end: WrittenStep | None,
) -> Step:
    seconds: dict[str, float] = {}
    cached: dict[str, int | None] = {}
    if drafted:
        seconds["draft_step"], cached["draft_step"] = drafted["seconds"], drafted["cached_tokens"]
    if verdict:
        seconds["judge"], cached["judge"] = verdict["seconds"], verdict["cached_tokens"]
    draft_tokens = len(drafted["ids"]) if drafted else 0
    return Step(
        index=len(run.steps),
        text=text,
        source=source,
        accepted=verdict["accepted"] if verdict else None,
        reject_reason=verdict["reason"] if verdict else None,
        rejected_text=drafted["text"] if drafted and source != "draft" else None,
        draft_starts=drafted["starts"] if drafted else [],
        score=verdict["score"] if verdict else None,
        threshold=run.policy.threshold,
        gate=run.gate,
        human=verdict["human"] if verdict else None,
        **_evidence(verdict, place=len(run.steps)),
        cut=end is not None and end["cut"],
        closes=end is not None and end["closes"],
        ended_with=end["ended_with"] if end else None,
        draft_tokens=draft_tokens,
        discarded_tokens=0 if source == "draft" else draft_tokens,
        base_tokens=0,
        judge_tokens=verdict["judge_tokens"] if verdict else 0,
        cached_tokens=cached,
        seconds=seconds,
        spans=_spans(drafted, verdict, end if source == "base" else None) + run.overlap.thrown_away(),
        ids=ids,
    )


def _spans(drafted: WrittenStep | None, verdict: Verdict | None, own: WrittenStep | None) -> list[Span]:
    """Of draft, judge and base, as far as they had a part in a step; older checkpoints hold no moments."""
    found = [_span("draft", drafted), _span("base", own)]
    if verdict and (began := verdict.get("began")) is not None:
        ended = began + verdict["seconds"]
        found.append(Span(role="judge", began=began, ended=ended, tokens=verdict["judge_tokens"], used=True))
    return [span for span in found if span is not None]


def _span(role: Role, written: WrittenStep | None) -> Span | None:
    if not written or "began" not in written or "ended" not in written:
        return None
    return Span(role=role, began=written["began"], ended=written["ended"], tokens=len(written["ids"]), used=True)


def _evidence(verdict: Verdict | None, *, place: int) -> Evidence:
    """The evidence alone, without what was made of it; empty where nothing was drafted."""
    if verdict is not None:
        return cast(Evidence, {name: value for name, value in verdict.items() if name in Evidence.__annotations__})
    return Evidence(
        label_probs=None,
        label_mass=None,
        says_label=None,
        spots=None,
        unasked=None,
        draft_logprobs=[],
        tokens=0,
        place=place,
        ends=False,
        agreement=None,
    )
