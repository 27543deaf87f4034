"""However a server cuts a generation into events, the run is the same: steps, ids, evidence, decisions and usage."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.testing import Script, ScriptedServer, scripted_pair

EXAMPLES = int(os.environ.get("SPECREASON_EXAMPLES", "100"))

PIECES = st.sampled_from(
    [
        "🙂",
        "漢字",
        "é",
        "𝑥",
        ":",
        ".",
        " ",
        "\n",
        "\t",
        "12",
        "7",
        "a",
        "Step ",
        "</think>",
        "<|im_end|>",
        "<think>",
        "</th",
    ]
)
STEP = st.lists(PIECES, min_size=1, max_size=12).map("".join).filter(lambda text: text.strip() and "\n\n" not in text)
STEPS = st.lists(STEP, min_size=1, max_size=5).map(lambda steps: [step.strip("\n") or "x" for step in steps])


@pytest.mark.timeout(120 + EXAMPLES)  # some tenths of a second each, on a machine that has other work
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    by_base=STEPS,
    by_draft=STEPS,
    scores=st.lists(st.sampled_from([0, 9]), max_size=5),
    tokenizers=st.sampled_from(["aa", "ab", "ba"]),
    chosen=st.fixed_dictionaries(
        {
            "judge": st.sampled_from(["paper", "likelihood"]),
            "step_tokens": st.sampled_from([3, 7, 512]),
            "look_ahead": st.booleans(),
            "hedge": st.booleans(),
        }
    ),
    cutting=st.sampled_from([(5, 0), (2, 0), *((0, seed) for seed in range(8))]),
)
def test_a_run_is_the_same_however_its_streams_are_cut(
    by_base: list[str],
    by_draft: list[str],
    scores: list[int],
    tokenizers: str,
    chosen: dict[str, Any],
    cutting: tuple[int, int],
) -> None:
    one = asyncio.run(_record(by_base, by_draft, scores, tokenizers, chosen, (1, 0)))
    assert asyncio.run(_record(by_base, by_draft, scores, tokenizers, chosen, cutting)) == one


async def _record(
    by_base: Sequence[str],
    by_draft: Sequence[str],
    scores: Sequence[int],
    tokenizers: str,
    chosen: dict[str, Any],
    cutting: tuple[int, int],
) -> dict[str, Any]:
    options: Any = {"template": "think", "tokens_per_event": cutting[0], "event_seed": cutting[1]}
    base = ScriptedServer(Script(by_base, scores=scores, answer="It's 7 🙂."), tokenizer=tokenizers[0], **options)  # type: ignore[arg-type]
    draft = ScriptedServer(Script(by_draft), tokenizer=tokenizers[1], **options)  # type: ignore[arg-type]
    async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(max_steps=8, **chosen)).compile()
        state = await graph.ainvoke({"messages": [HumanMessage("?")]}, {"recursion_limit": 100})
    for step in state["specreason_steps"]:
        assert base.model.tokenizer.spell(step["ids"]["base"]).decode() == step["text"]
        assert draft.model.tokenizer.spell(step["ids"].get("draft", step["ids"]["base"])).decode() == step["text"]
    overlaps = chosen["look_ahead"] or chosen["hedge"]
    return {
        "steps": [
            {key: value for key, value in step.items() if key not in ("seconds", "spans", "cached_tokens")}
            for step in state["specreason_steps"]
        ],
        "ended": state["specreason_ended"],
        "answer": state["specreason_answer"],
        "usage": {role: _used(used, exactly=not overlaps) for role, used in state["specreason_usage"].items()},
    }


def _used(used: dict[str, Any], *, exactly: bool) -> Any:
    """What does not depend on how far a stream got that nobody took."""
    if exactly:
        return {key: value for key, value in used.items() if key != "seconds"}
    return used["completion_tokens"] - used["discarded_tokens"]
