"""Tools, and runs whose base calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.tools import tool

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.models.presets import Preset
from specreason_graph.models.tool_format import builtin_formats
from specreason_graph.testing import Script, scripted_pair

STEPS = ["I need a sum.", "A tool knows it."]
QUESTION: Any = {"messages": [("user", "?")]}


@tool
def add(a: int, b: int = 0) -> int:
    """Add two numbers."""
    return a + b


@tool
def add_all(numbers: list[int]) -> int:
    """Add some numbers; its name begins like another's."""
    return sum(numbers)


@tool
def now() -> str:
    """Tell the time."""
    return "12:00"


@tool
def say(text: str, loud: bool = False) -> None:
    """Say something."""


TOOLS = [add, add_all, now, say]


def reply_of(state: Mapping[str, Any]) -> Any:
    return state["messages"][-1]


def preset(name: str, template: str) -> Preset:
    kind = {"kind": "thinking", "close": "</think>", "answer_cue": "</think>\n\n"}
    if template == "instruct":
        kind = {"kind": "instruct", "close": "Answer:", "answer_cue": "Answer:\n"}
    return Preset.model_validate({"name": "mine", "source": "", "tool_format": name, **kind})


async def called(
    format_name: str, template: Any, calls: Sequence[tuple[str, Mapping[str, Any]]], **settings: Any
) -> tuple[Any, dict[str, Any]]:
    """The reply of a run whose base calls these tools, and what its prompts ended with."""
    spelled = builtin_formats()[format_name].spelled(calls)
    script = Script([*STEPS, spelled]) if template == "instruct" else Script(STEPS, answer=f"Wait.\n{spelled}")
    async with scripted_pair(script, script, template=template) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, presets=[preset(format_name, template)]).compile()
        chosen = Settings(**{"tools": TOOLS, "preset": "mine", **settings})
        state = await graph.ainvoke(QUESTION, context=chosen)
        written = servers.base.completions[-1].prompts[0]
        return reply_of(state), {**state, "written": servers.base.model.tokenizer.spell(written).decode()}
