"""Scripted servers outside the test's event loop: in a thread, or in a process of their own."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from specreason_graph import PairConfig
from specreason_graph.testing import Record, Script, ScriptedPair, ScriptedServer, scripted_pair


class Held(ScriptedServer):
    """Answers so many completions, and the others when it is told to: what happens meanwhile depends on no clock."""

    def __init__(self, script: Script, *, role: str = "base", free: float = 0) -> None:
        super().__init__(script, template="think", model=f"scripted-{role}")
        self.free = free

    def let_go(self) -> None:
        """Answer all; from any thread."""
        self.free = math.inf

    async def _answer(self, http: web.Request, record: Record) -> web.StreamResponse:
        while record.path == "/v1/completions" and len(self.completions) > self.free:  # noqa: ASYNC110 - any thread
            await asyncio.sleep(0.002)
        return await super()._answer(http, record)


@contextmanager
def in_a_thread(base: ScriptedServer, draft: ScriptedServer) -> Iterator[ScriptedPair]:
    """Serve a pair while event loops of the test come and go."""
    up: list[ScriptedPair] = []
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with scripted_pair(base, draft) as servers:
            up.append(servers)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(60), "the servers did not start"
    try:
        yield up[0]
    finally:
        over.set()
        thread.join(60)


@contextmanager
def in_a_process(made: Any) -> Iterator[PairConfig]:
    """Serve the pair of servers that `made()` gives (a function that can be pickled) from a process of its own."""
    context = multiprocessing.get_context("spawn")
    queue, over = context.Queue(), context.Event()
    process = context.Process(target=_serve, args=(made, queue, over), daemon=True)
    process.start()
    try:
        yield queue.get(timeout=60)
    finally:
        over.set()
        process.join(10)


def _serve(made: Any, queue: Any, over: Any) -> None:
    async def serve() -> None:
        async with scripted_pair(*made()) as servers:
            queue.put(servers.config)
            await asyncio.to_thread(over.wait)

    asyncio.run(serve())
