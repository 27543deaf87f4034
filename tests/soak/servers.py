"""The servers of a soak behind proxies that fail, in a process of their own: what they keep is none of the client's."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from specreason_graph import PairConfig
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.weights import pull
from specreason_graph.testing import Chance, FaultProxy, ScriptedServer, WireFault, scripted_pair
from specreason_graph.testing.wire_fault import KINDS, WireFaultKind

from .questions import scripts

_IN_STREAMS: tuple[WireFaultKind, ...] = ("reset", "stall", "truncate", "garbage", "status")
FAULTS = (
    *(WireFault(kind, pause=0.0) for kind in KINDS),
    *(WireFault("status", status=status) for status in (408, 429, 500, 502, 504)),
    WireFault("status", status=429, retry_after="0.1"),
    *(WireFault(kind, after=events) for kind in _IN_STREAMS for events in (1, 3)),
    WireFault("reset", after_bytes=300),
)
"""What a faulty request meets, each as often as the others."""
_REQUESTS = 4000
"""Between two restarts of a proxy."""

Made = Callable[[], AbstractAsyncContextManager[PairConfig]]


@dataclass(slots=True)
class Served:
    """A pair of servers behind its proxies."""

    config: PairConfig
    faults: Counter[str] = field(default_factory=Counter)
    """By kind, when it is over."""


@contextmanager
def served(made: Made, share: float, seed: int) -> Iterator[Served]:
    """Serve what `made` (which can be pickled) gives, with faults for a share of its requests."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(made, share, seed, theirs), daemon=True)
    process.start()
    theirs.close()
    it = Served(ours.recv())
    try:
        yield it
    finally:
        with suppress(OSError, EOFError):  # Ctrl-C ends it, too
            ours.send("over")
            it.faults.update(ours.recv())
        process.join(30)


@asynccontextmanager
async def of_scripts(seed: int) -> AsyncIterator[PairConfig]:
    """Scripted servers that forget what they were asked."""
    base, draft = (
        ScriptedServer(script, template="think", model=f"scripted-{role}", tokens_per_event=0, event_seed=seed)
        for role, script in zip(("base", "draft"), scripts(seed), strict=True)
    )

    async def forget() -> None:
        while True:
            await asyncio.sleep(0.5)
            base.requests.clear()
            draft.requests.clear()

    async with scripted_pair(base, draft) as servers:
        forgets = asyncio.create_task(forget())
        yield _patient(servers.config, timeout=1.5, patience=3.0)
        forgets.cancel()


@asynccontextmanager
async def of_models() -> AsyncIterator[PairConfig]:
    """The embedded pair, four requests at a time."""
    with embedded_pair(pull(), context=1024, slots=4) as config:
        yield _patient(config, timeout=30.0, patience=10.0)


def _patient(config: PairConfig, **changes: float) -> PairConfig:
    return config.model_copy(
        update={"base": config.base.model_copy(update=changes), "draft": config.draft.model_copy(update=changes)}
    )


def _serve(made: Made, share: float, seed: int, line: Connection) -> None:
    async def serve() -> None:
        chances = [Chance(share, FAULTS, seed=2 * seed + number) for number in (0, 1)]
        async with (
            made() as config,
            FaultProxy(config.base.base_url, chances[0]) as base,
            FaultProxy(config.draft.base_url, chances[1]) as draft,
        ):
            at = {"base": base.url, "draft": draft.url}
            urls = {role: getattr(config, role).model_copy(update={"base_url": url}) for role, url in at.items()}
            restarts: Counter[str] = Counter()
            restarting = [asyncio.create_task(_restarts(proxy, restarts)) for proxy in (base, draft)] if share else []
            line.send(config.model_copy(update=urls))
            await asyncio.to_thread(line.recv)
            for task in restarting:
                task.cancel()
            line.send(chances[0].met + chances[1].met + restarts)

    asyncio.run(serve())


async def _restarts(proxy: FaultProxy, restarts: Counter[str]) -> None:
    """A proxy that is gone for a moment, again and again; who cancels it leaves it as it is."""
    while True:
        await asyncio.sleep(0.1)
        if len(proxy.requests) >= _REQUESTS:
            proxy.requests.clear()
            restarts["restart"] += 1
            await proxy.restart(0.3)
