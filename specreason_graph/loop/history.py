"""Where in a thread a step was kept, read from what the nodes wrote: no state is rebuilt on the way."""

from __future__ import annotations

from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from specreason_graph.contract.errors import ConfigError


async def checkpoint_before(
    saver: BaseCheckpointSaver[Any], thread: RunnableConfig, step: int | None = None
) -> RunnableConfig:
    """The checkpoint of a thread's last run at which a step was about to be kept: what to fork from.

    It looks at each checkpoint once, from the last one back. The states that `aget_state_history` gives hold all steps
    each, so reading them costs the square of the run.

    Args:
        saver: what the graph was compiled with.
        thread: its config; with a `checkpoint_id`, the branch that ends there.
        step: its index; None: the answer.

    Raises:
        ConfigError: the last run has no such checkpoint.
    """
    kept = await saver.aget_tuple(thread)
    run = None if kept is None else _run(kept)
    while kept is not None and run is not None and _run(kept) == run:
        if _is_before(kept, step):
            return kept.config
        kept = None if kept.parent_config is None else await saver.aget_tuple(kept.parent_config)
    what = "the answer" if step is None else f"step {step}"
    raise ConfigError(f"step: the thread's last run has no checkpoint from before {what}")


def _run(kept: CheckpointTuple) -> str | None:
    identity = kept.checkpoint["channel_values"].get("specreason_run")
    return identity["id"] if identity else None


def _is_before(kept: CheckpointTuple, step: int | None) -> bool:
    """By what the node behind it wrote; an edit writes all steps anew (an `Overwrite`), and is not what kept them."""
    writes = [(channel, value) for _, channel, value in kept.pending_writes or ()]
    steps = [value for channel, value in writes if channel == "specreason_steps" and isinstance(value, list)]
    if step is None:
        return not steps and ("specreason_done", True) in writes
    return min((one["index"] for written in steps for one in written), default=None) == step
