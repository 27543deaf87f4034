"""A pair at a pace at which look-ahead and hedge are written while the other model is at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from specreason_graph import Pair
from specreason_graph.testing import Pace, Script, ScriptedPair, ScriptedServer, scripted_pair

STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 9)]
SCORES = [9, 2, 9, 9, 2, 2, 9, 9]
WRONG = [f"Step {n} says that {n} and {n} is {2 * n + 1}." for n in range(1, 9)]
QUESTION: Any = {"messages": [("user", "How much is it?")]}
BASE = Pace(ttft=0.002, seconds_per_token=0.004)
DRAFT = Pace(ttft=0.002, seconds_per_token=0.001)


def drafted() -> list[str]:
    return [right if score > 6 else wrong for right, wrong, score in zip(STEPS, WRONG, SCORES, strict=True)]


def server(script: Script, **options: Any) -> ScriptedServer:
    return ScriptedServer(script, template="think", **options)


def base(**options: Any) -> ScriptedServer:
    return server(Script(STEPS, answer="72", scores=SCORES), **options)


def draft(**options: Any) -> ScriptedServer:
    return server(Script(drafted(), answer="72"), **options)


@asynccontextmanager
async def paced(**base_options: Any) -> AsyncIterator[tuple[ScriptedPair, Pair]]:
    async with (
        scripted_pair(base(pace=BASE, **base_options), draft(pace=DRAFT)) as servers,
        Pair(servers.config) as pair,
    ):
        yield servers, pair


def config(thread: str = "t") -> Any:
    return {"configurable": {"thread_id": thread}, "recursion_limit": 200}


async def nothing_runs(servers: ScriptedPair) -> None:
    async with asyncio.timeout(30):
        await servers.base.idle()
        await servers.draft.idle()
