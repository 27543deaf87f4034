"""What a record's values are called on a screen."""

from __future__ import annotations

from typing import Literal

from specreason_graph.contract.state import Ended, GateReason, RejectReason

REASONS: dict[RejectReason, str] = {
    "score": "score below the threshold",
    "likelihood": "base finds its tokens unlikely",
    "probability": "too likely to be bad",
    "no_label": "the judge's token is no label",
    "no_labels": "the judge gave no label",
    "call": "whether to call a tool is for base to say",
    "empty": "nothing was written",
    "loop": "it goes in circles",
    "human": "a person rejected it",
    "unusable": "the judge's answer can't be read",
}
"""Why a drafted step was not kept."""
ENDINGS: dict[Ended, str] = {
    "finished": "the reasoning was finished",
    "call": "a tool is to be called",
    "budget": "reasoning_budget was used up",
    "steps": "max_steps was reached",
    "loop": "the reasoning went in circles",
    "deadline": "the deadline was near",
    "context": "the context was full",
}
"""Why the reasoning ended."""
PendingStatus = Literal["drafted", "unsure", "rejected", "writing"]
"""Of a text for the next step."""
WAITS: dict[PendingStatus, str] = {
    "drafted": "being judged",
    "unsure": "a person is asked",
    "rejected": "rejected",
    "writing": "being written",
}
"""What such a text waits for."""
WAITED: dict[PendingStatus, str] = {
    "drafted": "not judged yet",
    "unsure": "a person is asked",
    "rejected": "rejected, and not written by base yet",
    "writing": "not finished",
}
"""The same of a run that was stopped."""
TURNS: dict[GateReason, str] = {
    "settings": "base's turn",
    "idle": "base's turn",
    "unknown": "base's turn",
    "load": "base's server was loaded",
    "queue": "base's server had a queue",
    "rejected": "too many drafts were rejected",
    "probe": "base's turn",
    "draft_gone": "the draft's server was gone",
}
"""Why base wrote a step for which nothing was drafted."""


def counted(number: int, thing: str) -> str:
    """`1 token`, `2,000 tokens`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def took(seconds: float) -> str:
    """Some time, in the units that one would say."""
    if seconds < 119.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min" + (f" {left} s" if left else "")
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h" + (f" {minutes} min" if minutes else "")
