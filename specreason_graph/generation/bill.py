"""What a run costs, by role."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from specreason_graph.contract.state import RoleUsage, UsageByRole
from specreason_graph.endpoint.protocol import End, Usage


def no_usage() -> UsageByRole:
    """Nothing used yet; cached tokens count from 0 and turn unknown with the first request that does not say."""
    return {
        role: RoleUsage(
            prompt_tokens=0, cached_tokens=0, completion_tokens=0, discarded_tokens=0, requests=0, seconds=0.0
        )
        for role in ("draft", "base", "judge")
    }


class Bill:
    """What a run has used and no state tells yet: a node's own requests, and what was dropped between two nodes."""

    def __init__(self) -> None:
        self._owed = no_usage()

    def used(self, role: str, requests: Sequence[Usage], seconds: float = 0.0) -> None:
        """Some requests of a role; unknown cached tokens stay unknown."""
        was = self._owed[role]
        total = sum(requests, start=Usage(was["prompt_tokens"], was["cached_tokens"], was["completion_tokens"]))
        was["prompt_tokens"], was["cached_tokens"] = total.prompt_tokens, total.cached_tokens
        was["completion_tokens"] = total.completion_tokens
        was["requests"] += sum(usage.prompt_tokens > 0 for usage in requests)
        was["seconds"] += seconds

    def discarded(self, role: str, tokens: int) -> None:
        """Tokens of a role that were thrown away."""
        self._owed[role]["discarded_tokens"] += tokens

    def on_top_of(self, told: UsageByRole) -> UsageByRole:
        """All that was used, where a state tells `told`."""
        return {role: _sum(told[role], self._owed[role]) for role in told}

    def clear(self) -> None:
        """A state tells it now."""
        self._owed = no_usage()


class StreamCost:
    """What a stream's requests cost, and has not been told yet."""

    def __init__(self) -> None:
        self._due: list[Usage] = []
        self._prompt = 0
        self._written = 0
        self._told = 0

    def opened(self, prompt_tokens: int) -> None:
        """A request was sent."""
        self._prompt, self._written, self._told = prompt_tokens, 0, 0

    def wrote(self) -> None:
        """A token came."""
        self._written += 1

    def ended(self, end: End) -> None:
        """The server said what the request cost."""
        usage, more = end.usage, max(0, end.usage.completion_tokens - self._told)
        self._due.append(usage if self._prompt else Usage(0, 0, more))
        self._prompt, self._told = 0, self._written

    def due(self) -> list[Usage]:
        """Since the last time; of a request that goes on, nobody knows yet what was cached."""
        due, self._due = self._due, []
        if self._prompt or self._written > self._told:
            due.append(Usage(self._prompt, None if self._prompt else 0, self._written - self._told))
            self._prompt, self._told = 0, self._written
        return due


def _sum(one: RoleUsage, other: RoleUsage) -> RoleUsage:
    """What is unknown in one of them is unknown in the sum."""
    a, b = cast(dict[str, Any], one), cast(dict[str, Any], other)
    return cast(RoleUsage, {key: None if None in (a[key], b[key]) else a[key] + b[key] for key in a})
