"""What each role costs in a run."""

from __future__ import annotations

from collections.abc import Sequence

from specreason_graph.contract.state import RoleUsage, UsageByRole
from specreason_graph.endpoint.protocol import Usage


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
    total = sum(requests, start=Usage(was["prompt_tokens"], was["cached_tokens"], was["completion_tokens"]))
    now = RoleUsage(
        prompt_tokens=total.prompt_tokens,
        cached_tokens=total.cached_tokens,
        completion_tokens=total.completion_tokens,
        discarded_tokens=was["discarded_tokens"],
        requests=was["requests"] + sum(usage.prompt_tokens > 0 for usage in requests),
        seconds=was["seconds"] + seconds,
    )
    return {**before, role: now}


def discarded(before: UsageByRole, role: str, tokens: int) -> UsageByRole:
    """`before` with tokens of a role that were thrown away."""
    was = before[role]
    return {**before, role: {**was, "discarded_tokens": was["discarded_tokens"] + tokens}}
