"""A run on real vLLM behind a proxy that fails."""

from __future__ import annotations

import pytest
from faulty import struck

from specreason_graph import PairConfig, Settings

pytestmark = [pytest.mark.real_vllm, pytest.mark.timeout(900)]


async def test_a_run_whose_streams_break_and_whose_servers_restart_comes_to_its_answer(vllm_pair: PairConfig) -> None:
    """Guards continuation from ids, stops across a break and counts, on the engine itself."""
    settings = Settings(reasoning_budget=96, answer_budget=32, step_tokens=48, judge="likelihood")
    state, sent = await struck(vllm_pair, "A box holds 12 eggs. How many eggs are in 5 boxes?", settings)
    assert state["specreason_answer"]
    assert state["specreason_steps"]
    assert min(sent.values()) >= 3
    for step in state["specreason_steps"]:
        assert step["text"].strip()
        assert "�" not in step["text"]
        assert "\n\n" not in step["text"].strip()
