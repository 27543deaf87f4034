"""The same on the embedded pair: llama.cpp's own server behind a proxy that fails."""

from __future__ import annotations

import pytest
from faulty import struck

from specreason_graph import Settings
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.weights import pull


@pytest.mark.real_models
@pytest.mark.timeout(300)
async def test_a_run_whose_streams_break_and_whose_servers_restart_comes_to_its_answer() -> None:
    """Guards continuation from ids, and what llama.cpp holds back in the middle of a stop."""
    settings = Settings(reasoning_budget=96, answer_budget=32, step_tokens=48)
    with embedded_pair(pull("cross-tokenizer"), context=2048) as config:
        state, sent = await struck(config, "A box holds 12 eggs. How many eggs are in 5 boxes?", settings)
    assert state["specreason_answer"]
    assert state["specreason_steps"]
    assert min(sent.values()) >= 3
    for step in state["specreason_steps"]:
        assert step["text"].strip()
        assert "�" not in step["text"]
