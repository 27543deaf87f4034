"""How much a run may still write: the one place where budgets, contexts and time become bounds.

A model writes in tokens of its own. Budgets count base's; a drafted step that is longer in those than what is left is
cut there.
"""

from __future__ import annotations

from specreason_graph.contract.settings import Role
from specreason_graph.contract.state import Ended, Step
from specreason_graph.endpoint.ids import size
from specreason_graph.generation.passage import Bounds
from specreason_graph.loop.run import Run

LEAST_STEP = 8
"""Tokens; less room than that is no room for a step."""

_SLACK = 4  # tokens: a line break before the cue, and the token that ends a turn


def room(run: Run, role: Role) -> int:
    """Tokens that a further step may have in this model's context, with the answer and the judge still to come."""
    answer = len(run.cue) + run.settings.answer_budget if role == run.settings.answer_by else 0
    request = len(run.request.suffix) if run.request and role == "base" else 0
    return run.contexts[role] - size(run.ledger(role)) - max(answer, request) - _SLACK


def has_room(run: Run) -> bool:
    """Whether both models' contexts can take one more step."""
    return min(room(run, "base"), room(run, "draft")) >= LEAST_STEP


def longest_step(run: Run) -> int:
    """Tokens of base that the next step may have; none where the budget is used up."""
    left = run.reasoning_budget - run.reasoning_tokens()
    return max(0, min(run.settings.step_tokens, left, room(run, "base")))


def step_bounds(run: Run) -> Bounds:
    """What either model may write of the next step, and until when; both contexts have to take it.

    In tokens of the model that writes; base's are taken for the draft's, and what is over then is cut
    (`steps.as_read_by_base`).
    """
    return Bounds(max(0, min(longest_step(run), room(run, "draft"))), run.clock.left_to_reason())


def answer_bounds(run: Run, prompt: int) -> Bounds:
    """What the answer may have behind a prompt of so many tokens."""
    context = run.contexts[run.settings.answer_by]
    return Bounds(max(0, min(run.settings.answer_budget, context - prompt)), run.clock.left())


def why_ended(run: Run) -> Ended | None:
    """Why the reasoning ends behind the last kept step; None when it goes on."""
    settings, steps, left = run.settings, run.steps, run.clock.left_to_reason()
    if steps and steps[-1]["closes"]:
        return run.closed(steps[-1]["ended_with"])
    if run.reasoning_tokens() >= run.reasoning_budget:
        return "budget"
    if len(steps) >= settings.max_steps:
        return "steps"
    if left is not None and left <= 0:
        return "deadline"
    return None if has_room(run) else "context"


def is_base_turn(run: Run) -> bool:
    """Whether base writes the next step unasked: the first n, some behind a rejected one, a call's place, or all."""
    more = run.settings.base_steps_after_reject - 1
    recent: list[Step] = run.steps[-more:] if more else []
    acts = bool(run.steps) and run.closed(run.steps[-1]["ended_with"]) == "call"
    unasked = run.gate["level"] == "base" or len(run.steps) < run.settings.first_steps or acts
    return unasked or any(step["accepted"] is False for step in recent)
