"""A pair of servers, real ones too, behind proxies that fail in the middle of a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.messages import HumanMessage

from specreason_graph import Pair, PairConfig, Settings, create_specreason
from specreason_graph.contract.state import SpecReasonState
from specreason_graph.testing import FaultProxy, WireFault
from specreason_graph.testing.wire_fault import WireFaultKind

_PATHS = {"vllm": "/v1/completions", "llamacpp": "/completion"}
_KINDS: tuple[WireFaultKind, ...] = ("reset", "truncate", "garbage", "drip", "status")


@asynccontextmanager
async def behind(config: PairConfig, **changes: Any) -> AsyncIterator[tuple[dict[str, FaultProxy], PairConfig]]:
    """The proxies by role, and the pair's configuration with their addresses and these changes."""
    async with FaultProxy(config.base.base_url) as base, FaultProxy(config.draft.base_url) as draft:
        proxied = {
            "base": config.base.model_copy(update={**changes, "base_url": base.url}),
            "draft": config.draft.model_copy(update={**changes, "base_url": draft.url}),
        }
        yield {"base": base, "draft": draft}, config.model_copy(update=proxied)


async def struck(config: PairConfig, question: str, settings: Settings) -> tuple[SpecReasonState, dict[str, int]]:
    """A run whose streams break at both servers in every way, and both of whose servers restart behind its first step.

    Returns its last state, and how many requests each server was sent for what it wrote.
    """
    async with behind(config, timeout=60.0, patience=20.0) as (proxies, proxied), Pair(proxied) as pair:
        await pair.cards()
        path = _PATHS[config.base.dialect]
        for proxy in proxies.values():
            for kind in _KINDS:
                proxy.fail(WireFault(kind, after=None if kind == "drip" else 3, pause=0.0), path=path)
        graph = create_specreason(pair=pair, settings=settings).compile()
        restarts: list[asyncio.Task[None]] = []
        state: Any = None
        async for mode, part in graph.astream(
            {"messages": [HumanMessage(question)]}, stream_mode=["custom", "values"], context=settings
        ):
            if mode == "values":
                state = part
            elif part["event"].startswith("step_") and not restarts:
                restarts = [asyncio.create_task(proxy.restart(1.0)) for proxy in proxies.values()]
        await asyncio.gather(*restarts)
        return state, {role: proxy.requests.count(path) for role, proxy in proxies.items()}
