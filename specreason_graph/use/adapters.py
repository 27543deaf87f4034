"""The loop inside a graph of yours: as a node, and as a tool for an agent.

A compiled graph is a node already, where the parent's state has `messages`. What these add: other states, settings of
one node, and steps in the parent's own `custom` stream. See docs/graphs.md.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from langchain_core.messages import AIMessage, MessageLikeRepresentation
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.config import get_stream_writer
from langgraph.runtime import Runtime

from specreason_graph.contract.errors import ConfigError, ContextOverflow, NoRoom, SpecReasonError
from specreason_graph.contract.settings import Settings, settings_in
from specreason_graph.contract.state import SpecReasonState, Update
from specreason_graph.loop.compiled import Compiled
from specreason_graph.loop.messages import told_by_caller
from specreason_graph.use.background import wait_for

Messages = str | list[MessageLikeRepresentation]
"""A question, or a conversation that ends with one."""
Chosen = Settings | Mapping[str, Any] | None

_log = logging.getLogger(__name__)


def specreason_node(
    graph: Compiled,
    *,
    question: Callable[[Any], Messages] = lambda state: state["messages"],
    answer: Callable[[SpecReasonState], Update] = lambda result: {"messages": [result["messages"][-1]]},
    settings: Chosen | Callable[[Any], Chosen] = None,
) -> Callable[..., Awaitable[Update]]:
    """A node for a graph of any state; async, so the graph around it is called with `ainvoke` or `astream`.

    Args:
        graph: from `create_specreason(…).compile()`; it keeps its checkpoints with the parent's checkpointer.
        question: from the parent's state to what is asked; its `messages` where it has them.
        answer: from the result to an update of the parent's state; one message where it has `messages`.
        settings: of this node, over those the graph was built with, or a function of the parent's state that gives
            them; what the parent's context has at `specreason` is over both.

    Raises:
        ConfigError: a setting is impossible or unknown.

    Example:
        parent.add_node("plan", specreason_node(
            graph,
            question=lambda state: f"Plan this task: {state['task']}",
            answer=lambda result: {"plan": result["specreason_answer"]},
            settings=Settings(reasoning_budget=2000),
        ))
    """
    fixed = Settings() if callable(settings) else Settings().overridden(settings)

    async def specreason(state: Any, runtime: Runtime[Any]) -> Update:
        own = fixed.overridden(settings(state)) if callable(settings) else fixed
        chosen = own.overridden(settings_in(runtime.context))
        return answer(await _run(graph, question(state), runtime.stream_writer, chosen))

    return specreason


def specreason_tool(
    graph: Compiled,
    *,
    name: str = "reason",
    description: str = "Think a hard question through, step by step. Give it all that has to be known.",
    handle_tool_error: bool | str | Callable[[ToolException], str] = True,
) -> BaseTool:
    """A tool for an agent whose own model calls tools, sync or async. Its artifact is the whole reply.

    Args:
        graph: from `create_specreason(…).compile()`.
        name: what the agent's model calls it.
        description: what it is told of it.
        handle_tool_error: what the agent's model is told when a question can't be reasoned on: `True` says why in a
            sentence, a text or a function says something else, and `False` raises the `ToolException`, which ends
            the agent's run. The error itself is logged, and is the exception's `__cause__`.
    """

    async def reason(question: str) -> tuple[str, AIMessage]:
        try:
            reply = (await _run(graph, question, _writer()))["messages"][-1]
        except SpecReasonError as error:
            _log.warning("%s: %s", name, error)
            raise ToolException(_told(error)) from error
        assert isinstance(reply, AIMessage), "`finalize` ends every run"
        return reply.text, reply

    def reason_and_wait(question: str) -> tuple[str, AIMessage]:
        try:
            return wait_for(reason(question))
        except NotImplementedError as error:  # of a checkpointer
            raise ConfigError(
                "checkpointer: that of the agent has no async methods, which the loop needs; take one that has, or "
                "keep nothing of the loop: create_specreason(…).compile(checkpointer=False)"
            ) from error

    return StructuredTool.from_function(
        func=reason_and_wait,
        coroutine=reason,
        name=name,
        description=description,
        response_format="content_and_artifact",
        handle_tool_error=handle_tool_error,
    )


async def _run(
    graph: Compiled, question: Messages, tell: Callable[[Any], None], settings: Settings | None = None
) -> SpecReasonState:
    messages = [("user", question)] if isinstance(question, str) else question
    result: SpecReasonState | None = None
    async for part in graph.astream(
        {"messages": messages}, told_by_caller(), context=settings, stream_mode=["custom", "values"], version="v2"
    ):
        if part["type"] == "custom":
            tell(part["data"])
        elif part["type"] == "values":
            result = part["data"]
    assert result is not None, "a run gives its values at least once"
    return result


def _told(error: SpecReasonError) -> str:
    """What a model can make of it; no address, and nothing that a server said."""
    if isinstance(error, NoRoom | ContextOverflow):
        return "The question is too long to reason on: ask a shorter one."
    if isinstance(error, ConfigError):
        return f"This can't be reasoned on: {error}"
    return "The models that reason can't be reached now: go on without them, or try again later."


def _writer() -> Callable[[Any], None]:
    try:
        return get_stream_writer()
    except (KeyError, RuntimeError):  # called by no graph: nobody listens
        return lambda event: None
