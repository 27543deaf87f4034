"""One event loop in a thread of its own, for callers that have none: connections outlive a call, in notebooks too."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

_Item = TypeVar("_Item")

_CLOSING = 5.0  # seconds for clean-up when the process ends


@dataclass(frozen=True, slots=True)
class _Background:
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    over: asyncio.Event

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(_CLOSING)


_lock = threading.Lock()
_running: _Background | None = None


def wait_for(work: Coroutine[Any, Any, _Item]) -> _Item:
    """Run a coroutine there and give its result; an interrupt cancels it.

    Raises:
        RuntimeError: the caller is itself run by the background loop, which can't wait for itself.
    """
    loop = _loop(work)
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def iterate(items: AsyncGenerator[_Item, None]) -> Iterator[_Item]:
    """Run an async generator there, in one task, and give what it yields; leaving early closes it.

    Raises:
        RuntimeError: the caller is itself run by the background loop.
    """
    queue: SimpleQueue[list[_Item] | None] = SimpleQueue()

    async def pump() -> None:
        async with aclosing(items):
            async for item in items:
                queue.put([item])

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(pump())
        task.add_done_callback(lambda _: queue.put(None))
        return task

    task = wait_for(begin())
    try:
        while (told := queue.get()) is not None:
            yield told[0]
        task.result()
    finally:
        if not task.done():
            task.get_loop().call_soon_threadsafe(task.cancel)
            while queue.get() is not None:
                pass


def _loop(work: Coroutine[Any, Any, Any]) -> asyncio.AbstractEventLoop:
    global _running
    with _lock:
        if _running is None or not _running.thread.is_alive():  # a forked process has no thread but its own
            _running = _start()
        if threading.current_thread() is _running.thread:
            work.close()
            raise RuntimeError("called from the background loop: use ainvoke, astream or abatch there")
        return _running.loop


class _Loop(asyncio.SelectorEventLoop):
    """Ends when the process does: then no thread can be started any more, and those of its executor are joined."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncio's
        """Nothing is left to do."""


def _start() -> _Background:
    started: SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = SimpleQueue()

    async def serve() -> None:
        over = asyncio.Event()
        started.put((asyncio.get_running_loop(), over))
        await over.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="specreason", daemon=True)
    thread.start()
    loop, over = started.get()
    background = _Background(loop, thread, over)
    atexit.register(background.stop)  # before an embedded engine that was started earlier: clients close first
    return background
