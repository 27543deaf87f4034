"""An agent's model on two scripted servers: what it calls and says, turn by turn, and the tools that it has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

from chat import served as served_pair
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from specreason_graph import ChatSpecReason
from specreason_graph.testing import Script, ScriptedPair, ScriptedServer

PRICES = {"engine": 5400, "wagon": 1200}
ENGINES: Any = {"messages": [("user", "What do 7 engines cost?")]}


class Call(NamedTuple):
    """A call that a script makes."""

    name: str
    args: Mapping[str, Any]


def price(item: str) -> Call:
    """Of a part."""
    return Call("unit_price", {"item": item})


Turn = str | Sequence[Call]
"""An answer, or calls."""


def acting(*turns: Turn, step: str = "Let us see.") -> Script:
    """What a model reasons and does in each run behind a question; the last turn for all runs that follow."""
    first, *later = [Script([f"{step} This is turn {at}."], answer=spelled(turn)) for at, turn in enumerate(turns, 1)]
    return Script(first.steps, answer=first.answer, then=later)


def spelled(turn: Turn) -> str:
    """As Qwen's models write it."""
    if isinstance(turn, str):
        return turn
    calls = (json.dumps({"name": call.name, "arguments": call.args}) for call in turn)
    return "\n".join(f"<tool_call>\n{call}\n</tool_call>" for call in calls)


def served(
    script: Script, *, context: int = 32_768, sees: bool = False, **values: Any
) -> AbstractAsyncContextManager[tuple[ChatSpecReason, ScriptedPair]]:
    """A chat model of this script, and its servers; the draft reasons like base, and `values` are the chat model's."""
    names = ("scripted-base", "scripted-draft")
    base, draft = (
        ScriptedServer(script, template="think", model=name, context=context, sees=sees, scale_out=sees)
        for name in names
    )
    return served_pair(base, draft, **values)


@tool
def unit_price(item: str) -> int:
    """Look up what a part of a train costs."""
    if item not in PRICES:
        raise ValueError(f"there is no {item}")
    return PRICES[item]


@tool
def product(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


TOOLS: list[Any] = [unit_price, product]
TURNS: list[Turn] = [[price("engine")], [Call("product", {"a": 5400, "b": 7})], "Seven engines cost 37800."]
LOOP = acting(*TURNS)
"""A two-tool task: look up, multiply, tell."""


def replies(state: Mapping[str, Any]) -> list[AIMessage]:
    """The model's turns."""
    return [message for message in state["messages"] if isinstance(message, AIMessage)]


def calls_of(state: Mapping[str, Any]) -> list[Call]:
    """All calls of a conversation, in order."""
    return [Call(call["name"], call["args"]) for reply in replies(state) for call in reply.tool_calls]


def ids_of(state: Mapping[str, Any]) -> list[str | None]:
    """The ids of all calls."""
    return [call["id"] for reply in replies(state) for call in reply.tool_calls]
