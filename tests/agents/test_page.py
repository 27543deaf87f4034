"""What docs/agents.md shows works as it stands there."""

from __future__ import annotations

from typing import Any

import pytest
from test_docs import shown

from .scripted import ENGINES, LOOP, Call, acting, calls_of, price, served

LONG = 262_144
DONE = "Seven engines cost 37800."


@pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
@pytest.mark.parametrize(
    ("built", "script", "answer"),
    [
        ("an_agent", LOOP, DONE),
        ("a_guarded_agent", acting([price("engine")], '{"euros": 37800}'), '{"euros": 37800}'),
        ("a_deep_agent", LOOP, DONE),
        ("a_loop", LOOP, DONE),
        ("a_team", acting("37800."), "37800."),
        ("a_swarm", acting([Call("transfer_to_clerk", {})], [price("engine")], "5400."), "5400."),
    ],
)
async def test_it_is_built_and_answers(built: str, script: Any, answer: str) -> None:
    async with served(script, context=LONG) as (model, _):
        state = await shown("agents.md")[built](model).ainvoke(ENGINES, {"recursion_limit": 100})
    assert state["messages"][-1].text == answer
    assert (price("engine") in calls_of(state)) is (built != "a_team")
