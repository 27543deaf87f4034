"""`reasoning_effort`: how much reasoning a client asks for, as budgets of ours."""

from __future__ import annotations

from typing import Any, Literal

from specreason_graph.contract.settings import Settings

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
_SHARES: dict[Effort, float] = {
    "none": 0,
    "minimal": 1 / 16,
    "low": 1 / 4,
    "medium": 1,
    "high": 2,
    "xhigh": 4,
    "max": 8,
}
"""Of the budgets that the gateway was started with; without an effort it is these themselves."""


def budgets(effort: Effort, of: Settings) -> dict[str, Any]:
    """The settings that an effort stands for; `none` leaves nothing to the whole turn, so the answer comes at once."""
    share = _SHARES[effort]
    turn = 0 if share == 0 else of.turn_reasoning_budget
    return {
        **({"reasoning_budget": max(1, int(of.reasoning_budget * share))} if share else {}),
        **({} if turn is None else {"turn_reasoning_budget": max(share > 0, int(turn * share))}),
    }
