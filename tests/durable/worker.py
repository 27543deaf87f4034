"""One attempt at a run, as a process that may be killed at any moment."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from typing import Any, Literal

from specreason_graph import Pair, PairConfig, create_specreason

from .stores import Store

QUESTION: Any = {"messages": [("user", "How much is it?")]}
Durability = Literal["sync", "async"]


def thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


def attempt(pair: str, store: Store, name: str, durability: Durability, told: Connection) -> None:
    """Begin the run or go on with it, up to its end; tell each kept step's index when LangGraph hands it out."""
    asyncio.run(_attempt(PairConfig.model_validate_json(pair), store, name, durability, told))


async def _attempt(config: PairConfig, store: Store, name: str, durability: Durability, told: Connection) -> None:
    async with Pair(config) as pair, store.saver() as saver:
        graph = create_specreason(pair=pair).compile(checkpointer=saver)
        given = None if await saver.aget_tuple(thread(name)) else QUESTION
        async for update in graph.astream(given, thread(name), stream_mode="updates", durability=durability):
            for node, changed in update.items():
                for step in changed.get("specreason_steps", ()) if node in ("judge", "regenerate") else ():
                    told.send(step["index"])
