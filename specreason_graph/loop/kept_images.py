"""The bytes of a thread's images are kept once, and a reference stands in for them while a run goes on.

A checkpoint may hold all messages anew (SQLite's do), and a run has hundreds. What a delta channel holds is written
down once, in the thread itself: so whoever resumes a run has the images, wherever it goes on, and they are gone when
the thread is deleted. Models see messages as they were sent, and so does whoever gets the reply.
"""

from __future__ import annotations

from typing import Any, cast

from langchain_core.messages import AnyMessage

from specreason_graph.contract.state import SpecReasonState, Update
from specreason_graph.models.images import OURS, changed_blocks, named


def shown(state: SpecReasonState) -> SpecReasonState:
    """A state with its images where they were sent."""
    images = state.get("specreason_images")
    if not images:
        return state
    back = [changed_blocks(message, lambda block: images.get(_reference_in(block), block)) for message in _of(state)]
    return cast(SpecReasonState, {**state, "messages": back})


def kept(state: SpecReasonState, update: Update) -> Update:
    """A node's update of a state as it was given: images go out of its messages, and at a run's end back in."""
    if update.get("specreason_done"):
        changed = _changed(state, shown(state))
        return {**update, "messages": [*changed, *update.get("messages", ())]} if changed else update
    blocks: dict[str, Any] = {}

    def taken(block: Any) -> Any:
        name = named(block)
        if name is not block:
            blocks[name["file_id"]] = block
        return name

    out = [changed_blocks(message, taken) if message.id else message for message in _of(state)]
    if not blocks:
        return update
    changed = _changed(state, cast(SpecReasonState, {**state, "messages": out}))
    known = state.get("specreason_images") or {}
    new = {name: block for name, block in blocks.items() if name not in known}
    return {**update, "messages": [*changed, *update.get("messages", ())], "specreason_images": new}


def _reference_in(block: Any) -> str:
    name = block.get("file_id") if isinstance(block, dict) else None
    return name if isinstance(name, str) and name.startswith(OURS) else ""


def _changed(before: SpecReasonState, after: SpecReasonState) -> list[AnyMessage]:
    return [new for old, new in zip(_of(before), _of(after), strict=True) if new is not old]


def _of(state: SpecReasonState) -> list[AnyMessage]:
    return state["messages"]
