"""What docs/durability.md shows works as it stands there."""

from __future__ import annotations

from test_docs import shown

from .lives import STEPS, lives
from .stores import Store


async def test_the_example_begins_a_run_goes_on_with_one_and_gives_a_result_again(postgres: Store) -> None:
    solve = shown("durability.md")["solve"]
    async with lives(postgres, "sync") as them:
        assert (await solve(them.pair, postgres.where, "1", "How much is it?"))["specreason_answer"] == "72"
        killed = await them.live("3", 0, steps=2)
        state = await solve(them.pair, postgres.where, "3", "Not asked: the run has begun.")
        assert 0 < len(killed.kept) < len(STEPS)
        assert state["specreason_steps"][: len(killed.kept)] == killed.kept
        assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
        asked = len(them.servers.base.completions)
        assert await solve(them.pair, postgres.where, "3", "Not asked: the run is over.") == state
        assert len(them.servers.base.completions) == asked
