"""The loop inside a graph of yours: as a node, and as a tool for an agent.

A compiled graph is a node already, where the parent's state has `messages`. What these add: other states, steps in the
parent's own `custom` stream, and a recursion limit of its own (below a chain, a graph gets that of LangChain: 25).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain_core.messages import AIMessage, MessageLikeRepresentation
from langchain_core.tools import BaseTool, tool
from langgraph.config import get_stream_writer
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from specreason_graph.contract.settings import MAX_STEPS, Settings
from specreason_graph.contract.state import SpecReasonState, Update

Compiled = CompiledStateGraph[SpecReasonState, Settings, Any, SpecReasonState]
Messages = str | list[MessageLikeRepresentation]
"""A question, or a conversation that ends with one."""

_LIMIT = Settings(max_steps=MAX_STEPS).recursion_limit  # a run is bounded by its settings


def specreason_node(
    graph: Compiled,
    *,
    question: Callable[[Any], Messages] = lambda state: state["messages"],
    answer: Callable[[SpecReasonState], Update] = lambda result: {"messages": [result["messages"][-1]]},
) -> Callable[..., Awaitable[Update]]:
    """A node for a graph of any state.

    Args:
        graph: from `create_specreason(…).compile()`; it keeps its checkpoints with the parent's checkpointer.
        question: from the parent's state to what is asked; its `messages` where it has them.
        answer: from the result to an update of the parent's state; one message where it has `messages`.

    Example:
        parent.add_node("plan", specreason_node(
            graph,
            question=lambda state: f"Plan this task: {state['task']}",
            answer=lambda result: {"plan": result["specreason_answer"]},
        ))
    """

    async def specreason(state: Any, runtime: Runtime[Any]) -> Update:
        return answer(await _run(graph, question(state), runtime.stream_writer))

    return specreason


def specreason_tool(
    graph: Compiled,
    *,
    name: str = "reason",
    description: str = "Think a hard question through, step by step. Give it all that has to be known.",
) -> BaseTool:
    """A tool for an agent whose own model calls tools; async. Its artifact is the reply, with its reasoning and usage.

    Args:
        graph: from `create_specreason(…).compile()`.
        name: what the agent's model calls it.
        description: what it is told of it.
    """

    @tool(name, description=description, response_format="content_and_artifact")
    async def reason(question: str) -> tuple[str, AIMessage]:
        reply = (await _run(graph, question, _writer()))["messages"][-1]
        assert isinstance(reply, AIMessage), "`finalize` ends every run"
        return reply.text, reply

    return reason


async def _run(graph: Compiled, question: Messages, tell: Callable[[Any], None]) -> SpecReasonState:
    messages = [("user", question)] if isinstance(question, str) else question
    result: SpecReasonState | None = None
    async for part in graph.astream(
        {"messages": messages}, {"recursion_limit": _LIMIT}, stream_mode=["custom", "values"], version="v2"
    ):
        if part["type"] == "custom":
            tell(part["data"])
        elif part["type"] == "values":
            result = part["data"]
    assert result is not None, "a run gives its values at least once"
    return result


def _writer() -> Callable[[Any], None]:
    try:
        return get_stream_writer()
    except (KeyError, RuntimeError):  # called by no graph: nobody listens
        return lambda event: None
