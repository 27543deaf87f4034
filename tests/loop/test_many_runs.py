"""One pair for many: event loops that come and go, threads with loops of their own, a thousand questions at once."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from collections import Counter
from typing import Any

import pytest
from serving import in_a_process, in_a_thread

from specreason_graph import Pair, create_specreason
from specreason_graph.testing import Script, ScriptedServer

STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 6)]


def question(name: object) -> Any:
    return {"messages": [("user", f"How much is {name}?")]}


def servers(steps: int = 5) -> tuple[ScriptedServer, ScriptedServer]:
    base, draft = (
        ScriptedServer(Script(STEPS[:steps], answer="12"), template="think", model=f"scripted-{role}")
        for role in ("base", "draft")
    )
    return base, draft


def two_steps() -> tuple[ScriptedServer, ScriptedServer]:
    return servers(2)


def test_a_pair_outlives_two_hundred_event_loops() -> None:
    """A script calls `asyncio.run` for each question: no session, loop or file descriptor stays behind."""
    with in_a_thread(*servers(2)) as served:
        pair = Pair(served.config)
        graph = create_specreason(pair=pair).compile()
        descriptors = 0
        for number in range(200):
            asyncio.run(graph.ainvoke(question(number)))
            if number == 20:
                descriptors = len(os.listdir("/proc/self/fd"))
        gc.collect()
        closed = [it for it in gc.get_objects() if isinstance(it, asyncio.BaseEventLoop) and it.is_closed()]
        assert len(closed) <= 2
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 2
        assert len(pair.live) == 0


def test_a_pair_serves_threads_with_loops_of_their_own() -> None:
    """Switching as often as Python can: whatever is shared must not be looked at and changed in two steps."""
    found: Counter[str] = Counter()
    with in_a_thread(*servers()) as served:
        graph = create_specreason(pair=Pair(served.config)).compile()

        def work(thread: int) -> None:
            for number in range(8):
                try:
                    state = asyncio.run(graph.ainvoke(question(number if thread % 2 else (thread, number))))
                    texts = [step["text"].strip() for step in state["specreason_steps"]]
                    found["right" if texts == STEPS else str(texts)] += 1
                except Exception as error:
                    found[repr(error)] += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(before)
    assert found == {"right": 64}


@pytest.mark.timeout(240)
def test_a_thousand_questions_at_once() -> None:
    """On two servers in a process of their own: none is lost, and connections are bounded."""
    most = 0

    async def ask(config: Any) -> list[Any]:
        nonlocal most
        async with Pair(config) as pair:
            graph = create_specreason(pair=pair).compile()
            await graph.ainvoke(question("it"))
            runs = asyncio.gather(*(graph.ainvoke(question(n)) for n in range(1000)), return_exceptions=True)
            while not runs.done():
                most = max(most, len(os.listdir("/proc/self/fd")))
                await asyncio.sleep(0.2)
            states = await runs
            assert Counter(repr(state) for state in states if isinstance(state, BaseException)) == {}
            assert len(pair.live) == 0
            assert len(asyncio.all_tasks()) < 20
            return states

    with in_a_process(two_steps) as config:
        before = len(os.listdir("/proc/self/fd"))
        states = asyncio.run(ask(config))
    assert {len(state["specreason_steps"]) for state in states} == {2}
    assert most <= before + 2 * config.base.connections + 20
