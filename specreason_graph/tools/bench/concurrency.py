"""Several things at a time, in the order given, with one error that is not wrapped in a group."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")


async def each(items: Iterable[_Item], do: Callable[[_Item], Awaitable[None]], concurrency: int) -> None:
    """Do every item, `concurrency` of them at a time; the first failure stops the others and is raised as it is."""
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            await do(item)

    workers = [asyncio.create_task(work()) for _ in range(concurrency)]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
