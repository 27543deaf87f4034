"""Which runs a thread holds, and where one kept a step, read from checkpoints: no state is rebuilt on the way."""

from __future__ import annotations

from typing import Any, NamedTuple

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

from specreason_graph.contract.errors import ConfigError
from specreason_graph.models.conversation import question_hash


class KeptRun(NamedTuple):
    """A run in a thread."""

    nodes: list[str]
    """Of the graphs around it, outermost first; none where the thread is its own."""
    last: RunnableConfig
    """Of its last checkpoint, for `aget_state` of a graph that `create_specreason` made."""


async def runs_of(saver: BaseCheckpointSaver[Any], thread: str) -> list[KeptRun]:
    """The runs that a thread holds, the one that was written last at the end.

    They are its own, and those of the loop as a node or a subgraph of another graph, which have a namespace each.
    """
    found: dict[str, CheckpointTuple] = {}
    newest: dict[str, str] = {}
    async for kept in saver.alist({"configurable": {"thread_id": thread}}):  # from the last one back
        newest.setdefault(_namespace(kept), kept.checkpoint["id"])
        run = _run(kept)
        if run is not None and (run not in found or (not _is_of(found[run], run) and _is_of(kept, run))):
            found[run] = kept
    return [
        KeptRun(_nodes(_namespace(kept)), _config(kept, newest[_namespace(kept)])) for kept in reversed(found.values())
    ]


def _is_of(kept: CheckpointTuple, run: str) -> bool:
    """Whether the conversation is still the run's: the next question comes to a state that is the last run's."""
    values = kept.checkpoint["channel_values"]
    messages = values.get("messages", [])
    asked = messages[:-1] if values.get("specreason_done") else messages
    return _run(kept) == run and question_hash(asked) == values["specreason_run"]["question"]


def _namespace(kept: CheckpointTuple) -> str:
    return str(kept.config["configurable"].get("checkpoint_ns", ""))


def _nodes(namespace: str) -> list[str]:
    """Names of nodes; LangGraph puts ids behind them, and numbers of calls between them."""
    return [part.partition(":")[0] for part in namespace.split("|") if part and not part.isdecimal()]


def _config(kept: CheckpointTuple, newest: str) -> RunnableConfig:
    """Without its id where nothing follows it: what a node wrote before a kill is read too then."""
    if kept.checkpoint["id"] != newest:
        return kept.config
    told = {key: value for key, value in kept.config["configurable"].items() if key != "checkpoint_id"}
    return {"configurable": told}


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
