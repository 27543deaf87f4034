"""Several problems at a time: never more than asked for, and one failure that ends them all as itself."""

from __future__ import annotations

import asyncio

import pytest

from specreason_graph.contract.errors import EndpointError
from specreason_graph.tools.bench.concurrency import each


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (3, 3), (20, 7)])
async def test_as_many_at_a_time_as_asked_for_and_in_the_order_given(concurrency: int, most: int) -> None:
    """And no fewer: a slot that is free is taken at once, however long the others take."""
    running, peak, started, finished = 0, 0, list[int](), list[int]()

    async def do(item: int) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        started.append(item)
        for _ in range(1 + 5 * (item == 0)):  # the first takes long
            await asyncio.sleep(0)
        running -= 1
        finished.append(item)

    await each(range(7), do, concurrency)
    assert (peak, started) == (most, list(range(7)))
    assert sorted(finished) == list(range(7))
    assert (finished[0] == 0) == (concurrency == 1)


async def test_the_first_failure_is_raised_as_itself_and_stops_the_others() -> None:
    """A group of errors would pass by every `except EndpointError`; what runs on would hold the servers."""
    started, stopped = list[int](), list[int]()

    async def do(item: int) -> None:
        started.append(item)
        try:
            await asyncio.sleep(0 if item == 1 else 3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # closing a stream takes a while, and is waited for
            stopped.append(item)
            raise
        raise EndpointError("base at http://x: gone")

    with pytest.raises(EndpointError, match="base at http://x: gone"):
        await each(range(9), do, 3)
    assert (started, sorted(stopped)) == ([0, 1, 2], [0, 2])


async def test_a_later_failure_does_not_take_the_place_of_the_first() -> None:
    async def do(item: int) -> None:
        try:
            await asyncio.sleep(0 if item else 3600)
        finally:
            raise EndpointError(f"failure {item}")

    with pytest.raises(EndpointError, match="failure 1"):
        await each(range(2), do, 2)


async def test_stopping_it_from_outside_stops_all() -> None:
    """Ctrl-C: what has not finished is not done on in the background."""
    started, stopped = list[int](), list[int]()

    async def do(item: int) -> None:
        started.append(item)
        try:
            await asyncio.sleep(3600)
        finally:
            stopped.append(item)

    task = asyncio.create_task(each(range(9), do, 3))
    while len(started) < 3:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(stopped) == [0, 1, 2]
