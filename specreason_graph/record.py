"""What a run leaves behind: a record of every kept step, and what each role cost."""

from __future__ import annotations

from collections.abc import Sequence

from specreason_graph.endpoint.protocol import Usage
from specreason_graph.run import Run
from specreason_graph.state import Evidence, Pending, RoleUsage, Step, UsageByRole, Verdict, Writing


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


def no_usage() -> UsageByRole:
    """Nothing used yet; cached tokens count from 0 and turn unknown with the first request that does not say."""
    return {
        role: RoleUsage(
            prompt_tokens=0, cached_tokens=0, completion_tokens=0, discarded_tokens=0, requests=0, seconds=0.0
        )
        for role in ("draft", "base", "judge")
    }


def used(before: UsageByRole, role: str, requests: Sequence[Usage], seconds: float) -> UsageByRole:
    """`before` with some requests of a role on top; unknown cached tokens stay unknown."""
    was = before[role]
    cached = was["cached_tokens"]
    for usage in requests:
        cached = None if cached is None or usage.cached_tokens is None else cached + usage.cached_tokens
    now = RoleUsage(
        prompt_tokens=was["prompt_tokens"] + sum(usage.prompt_tokens for usage in requests),
        cached_tokens=cached,
        completion_tokens=was["completion_tokens"] + sum(usage.completion_tokens for usage in requests),
        discarded_tokens=was["discarded_tokens"],
        requests=was["requests"] + len(requests),
        seconds=was["seconds"] + seconds,
    )
    return {**before, role: now}


def discarded(before: UsageByRole, tokens: int) -> UsageByRole:
    """`before` with drafted tokens that were thrown away."""
    draft = before["draft"]
    return {**before, "draft": {**draft, "discarded_tokens": draft["discarded_tokens"] + tokens}}
