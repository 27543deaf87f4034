"""What a process holds: it may not grow with the runs that are over."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_PAGES = 1024**2 / os.sysconf("SC_PAGE_SIZE")  # a MB


class Figures(NamedTuple):
    """Of this process, while none of its runs goes on."""

    rss_mb: float
    tasks: int
    sockets: int
    threads: int

    def grown(self, first: Figures) -> list[str]:
        """What is above the first look by more than its bound."""
        both = zip(self._fields, first, self, MORE, strict=True)
        return [f"{name}: {before} at first, {now} at last" for name, before, now, more in both if now > before + more]


MORE = Figures(rss_mb=32.0, tasks=8, sockets=32, threads=8)
"""How much more may be there at last: noise of an allocator, connections that are kept alive, a pool's threads."""


async def settled() -> Figures:
    """When nothing has changed for a second; connections are kept alive for some."""
    seen, since = figures(), 0
    for _ in range(40):
        await asyncio.sleep(0.25)
        now = figures()
        since = since + 1 if now[1:] == seen[1:] else 0
        seen = now
        if since == 4:
            break
    gc.collect()
    return figures()


def figures() -> Figures:
    """As Linux counts them."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    sockets = 0
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the folder's own
            sockets += os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:")
    return Figures(round(pages / _PAGES, 1), len(asyncio.all_tasks()), sockets, threading.active_count())
