"""A run as one JSON object: what `specreason solve --json` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from langchain_core.messages import AnyMessage
from typing_extensions import TypedDict

from specreason_graph.contract.state import Ended, SpecReasonState, Step, UsageByRole
from specreason_graph.models.conversation import last_question


class Report(TypedDict):
    """What a run came to; `answer` is None when there is none, `ended` when it was stopped while reasoning."""

    answer: str | None
    steps: list[Step]
    ended: Ended | None
    usage: UsageByRole
    seconds: float
    question: str
    """The user's last message, as text."""
    models: dict[str, str]
    """Names of `base` and `draft`; empty where the run never opened, or is of an older version."""
    judge: dict[str, Any] | None
    """What base was asked about the steps: a `Judge`."""
    policy: dict[str, Any] | None
    """What decided: a `FittedPolicy`, or the name alone of another policy."""


_PRIVATE = ("ids", "closes", "ended_with")


def report(state: SpecReasonState) -> Report:
    """The report on a run from its (final or unfinished) state."""
    run = state.get("specreason_run")
    return Report(
        answer=state.get("specreason_answer"),
        steps=[_public(step) for step in state.get("specreason_steps", ())],
        ended=state.get("specreason_ended"),
        usage=state.get("specreason_usage", {}),
        seconds=state.get("specreason_seconds", 0.0),
        question=_question(state.get("messages", ())),
        models=run.get("models", {}) if run else {},
        judge=run.get("judge") if run else None,
        policy=run.get("policy") if run else None,
    )


def so_far(state: SpecReasonState) -> dict[str, Any]:
    """The report, and with it the drafted step that waits for the judge, for a person or for base."""
    waits = None if state.get("specreason_done") else state.get("specreason_pending")
    pending = [] if waits is None else [{"role": "draft", "text": waits["drafted"]["text"], "status": waits["status"]}]
    return {**report(state), "pending": pending}


def acceptance(steps: Sequence[Step]) -> tuple[int, int]:
    """How many drafted steps were accepted, of how many that were judged."""
    judged = [step["accepted"] for step in steps if step["accepted"] is not None]
    return sum(judged), len(judged)


def draft_share(steps: Sequence[Step]) -> float | None:
    """Share of the kept reasoning's tokens, counted in base's, that the draft wrote; None where no model wrote any.

    Steps that a person wrote are left out: nobody counts their tokens.
    """
    by_draft = sum(step["tokens"] for step in steps if step["source"] == "draft")
    by_base = sum(step["base_tokens"] for step in steps if step["source"] == "base")
    return by_draft / (by_draft + by_base) if by_draft + by_base else None


def _question(messages: Sequence[AnyMessage]) -> str:
    return messages[last_question(messages)].text if messages else ""


def _public(step: Step) -> Step:
    """A step without what only the ledgers need."""
    return cast(Step, {key: value for key, value in step.items() if key not in _PRIVATE})
