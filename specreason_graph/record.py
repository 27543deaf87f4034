"""What a run leaves behind of every kept step."""

from __future__ import annotations

from specreason_graph.run import Run
from specreason_graph.state import Evidence, Pending, Step, Verdict, Writing


def accepted_step(run: Run, pending: Pending, ids: dict[str, list[int]]) -> Step:
    """A drafted step that the judge let pass."""
    return _step(run, pending["writing"], pending, None, ids)


def base_step(run: Run, writing: Writing, rejected: Pending | None, ids: dict[str, list[int]]) -> Step:
    """A step that base wrote: in the place of a rejected one, or unasked."""
    return _step(run, writing, rejected, writing, ids)


def _step(
    run: Run, kept: Writing, drafted: Pending | None, regenerated: Writing | None, ids: dict[str, list[int]]
) -> Step:
    verdict = drafted["verdict"] if drafted else None
    seconds: dict[str, float] = {}
    cached: dict[str, int | None] = {}
    if drafted:
        seconds["draft_step"], cached["draft_step"] = (
            drafted["writing"]["seconds"],
            drafted["writing"]["cached_tokens"],
        )
    if verdict:
        seconds["judge"], cached["judge"] = verdict["seconds"], verdict["cached_tokens"]
    if regenerated:
        seconds["regenerate"], cached["regenerate"] = regenerated["seconds"], regenerated["cached_tokens"]
    draft_tokens = len(drafted["writing"]["ids"]) if drafted else 0
    return Step(
        index=len(run.steps),
        text=kept["text"],
        source="base" if regenerated else "draft",
        accepted=verdict["accepted"] if verdict else None,
        reject_reason=verdict["reason"] if verdict else None,
        rejected_text=drafted["writing"]["text"] if drafted and regenerated else None,
        score=verdict["score"] if verdict else None,
        threshold=run.policy.threshold,
        **_evidence(verdict, place=len(run.steps)),
        cut=kept["cut"],
        closes=kept["closes"],
        draft_tokens=draft_tokens,
        discarded_tokens=draft_tokens if regenerated else 0,
        base_tokens=len(regenerated["ids"]) if regenerated else 0,
        judge_tokens=verdict["judge_tokens"] if verdict else 0,
        cached_tokens=cached,
        seconds=seconds,
        ids=ids,
    )


def _evidence(verdict: Verdict | None, *, place: int) -> Evidence:
    """The evidence alone, without what was made of it; empty where nothing was drafted."""
    return Evidence(
        label_probs=verdict["label_probs"] if verdict else None,
        label_mass=verdict["label_mass"] if verdict else None,
        says_label=verdict["says_label"] if verdict else None,
        spots=verdict["spots"] if verdict else None,
        draft_logprobs=verdict["draft_logprobs"] if verdict else [],
        tokens=verdict["tokens"] if verdict else 0,
        place=place,
        ends=verdict["ends"] if verdict else False,
        agreement=verdict["agreement"] if verdict else None,
    )
