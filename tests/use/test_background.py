"""The loop behind sync calls: one for all threads, nothing left running, and gone with the process."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

import pytest

from specreason_graph.use.background import iterate, wait_for


async def here() -> tuple[str, int]:
    return threading.current_thread().name, id(asyncio.get_running_loop())


def test_all_threads_share_one_loop() -> None:
    with ThreadPoolExecutor(4) as pool:
        found = {pool.submit(lambda: wait_for(here())).result() for _ in range(8)}
    assert [name for name, _ in found] == ["specreason"]


async def test_it_serves_a_caller_whose_own_loop_is_running() -> None:
    """A notebook's cells run in a loop."""
    assert wait_for(here())[1] != id(asyncio.get_running_loop())


def test_what_is_raised_reaches_the_caller() -> None:
    async def fails() -> None:
        raise LookupError("nothing there")

    async def fails_later() -> AsyncGenerator[int, None]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="nothing there"):
        wait_for(fails())
    items = iterate(fails_later())
    assert next(items) == 1
    with pytest.raises(LookupError, match="no more"):
        next(items)


def test_leaving_early_closes_the_generator_before_it_returns() -> None:
    closed = []

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            for number in range(10**9):
                yield number
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0.01)
            closed.append(True)

    for number in iterate(numbers()):
        if number == 2:
            break
    assert closed


def test_it_can_not_wait_for_itself() -> None:
    async def inside() -> None:
        wait_for(here())

    with pytest.raises(RuntimeError, match="ainvoke"):
        wait_for(inside())


def test_a_process_ends_in_silence_with_work_still_going_on() -> None:
    code = """
import asyncio
from specreason_graph.use.background import iterate, wait_for

async def forever():
    await asyncio.to_thread(sum, [1])
    while True:
        yield 1
        await asyncio.sleep(0.01)

wait_for(asyncio.sleep(0))
items = iterate(forever())
next(items)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, timeout=30, check=True)
    assert done.stdout == done.stderr == b""
