"""Budgets and contexts are kept to the token, whatever tokens the two models write in."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Solve
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.testing import Script, ScriptedServer, scripted_pair

_NAMES = "cow hen leg sum product area train clock river garden basket orange pencil village bridge winter"
WORDS = _NAMES.split(" ")
STEPS = [f"S{n}: {' '.join(WORDS[(n * 7 + k * 3) % 16] for k in range(12))}." for n in range(30)]
BOUNDS: list[dict[str, Any]] = [
    {"reasoning_budget": 70},
    {"reasoning_budget": 300, "step_tokens": 20},
    {"reasoning_budget": 1},
    {"reasoning_budget": 200, "first_steps": 2},
]


@pytest.mark.parametrize("tokenizers", ["aa", "ab", "ba"])
@pytest.mark.parametrize("bounds", BOUNDS, ids=str)
async def test_the_reasoning_never_passes_its_budget(solve: Solve, tokenizers: Any, bounds: dict[str, Any]) -> None:
    """The budget counts base's tokens; a draft writes in its own."""
    base = ScriptedServer(Script(STEPS, scores=[9, 9, 2, 9]), template="think", tokenizer=tokenizers[0])
    draft = ScriptedServer(Script(STEPS), template="think", tokenizer=tokenizers[1])
    solved = await solve(base, draft, **bounds)
    counts = [len(step["ids"]["base"]) for step in solved.steps]
    assert sum(counts) <= bounds["reasoning_budget"]
    assert max(counts) <= bounds.get("step_tokens", 512)
    assert solved.state["specreason_ended"] == "budget"
    used = solved.state["specreason_usage"]["draft"]
    assert used["discarded_tokens"] <= used["completion_tokens"]


@pytest.mark.parametrize("overlap", [None, False])
async def test_a_run_resumed_with_less_than_it_has_used_goes_to_its_answer(overlap: bool | None) -> None:
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_after=["judge"])
        thread: Any = {"configurable": {"thread_id": "t"}}
        await graph.ainvoke({"messages": [HumanMessage("?")]}, thread)
        await graph.ainvoke(None, thread)
        graph.interrupt_after_nodes = []
        less = Settings(reasoning_budget=50, look_ahead=overlap, hedge=overlap)
        state = await graph.ainvoke(None, thread, context=less)
    assert (state["specreason_ended"], len(state["specreason_steps"])) == ("budget", 2)
    assert state["specreason_done"]


@pytest.mark.parametrize("tokenizers", ["aa", "ab", "ba"])
async def test_tokens_of_the_reasoning_are_never_negative(solve: Solve, tokenizers: Any) -> None:
    """An instruct model's last step is the answer, and counts in the tokens of who wrote it."""
    base, draft = (ScriptedServer(Script(STEPS[:1]), tokenizer=tokenizer) for tokenizer in tokenizers)
    solved = await solve(base, draft, template="instruct", boxed=True, look_ahead=False, hedge=False)
    reply: Any = solved.state["messages"][-1]
    assert (
        0 <= reply.usage_metadata["output_token_details"]["reasoning"] <= 3
    )  # the judge's and the one that ends the turn
