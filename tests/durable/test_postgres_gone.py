"""A PostgreSQL server that goes away in mid-run."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from specreason_graph import create_specreason

from .lives import STEPS, lives
from .stores import Store
from .worker import QUESTION, Durability, thread

CUT = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_a_run_whose_connection_is_cut_says_so_and_goes_on_over_a_new_one(
    postgres: Store, durability: Durability
) -> None:
    """The run fails, nothing of it is left running, and what was kept is there."""
    async with lives(postgres, durability) as them:
        async with postgres.saver() as saver:
            graph = create_specreason(pair=them.pair).compile(checkpointer=saver)

            async def cut_in_between() -> None:
                nodes = 0
                async for _ in graph.astream(QUESTION, thread("t"), stream_mode="updates", durability=durability):
                    nodes += 1
                    if nodes == 10:  # of 20
                        with psycopg.connect(postgres.where) as admin:
                            admin.execute(CUT)

            with pytest.raises(psycopg.OperationalError, match=r"terminating connection|closed"):
                await cut_in_between()
        async with asyncio.timeout(30):
            await them.servers.base.idle()
            await them.servers.draft.idle()
        async with postgres.saver() as saver:
            graph = create_specreason(pair=them.pair).compile(checkpointer=saver)
            kept = (await graph.aget_state(thread("t"))).values["specreason_steps"]
            state = await graph.ainvoke(None, thread("t"))
    assert 0 < len(kept) < len(STEPS)
    assert state["specreason_steps"][: len(kept)] == kept
    assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
