"""A chat model on two scripted servers, for async tests and for sync ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from specreason_graph import ChatSpecReason, Pair
from specreason_graph.testing import Script, ScriptedPair, ScriptedServer, scripted_pair
from specreason_graph.use.background import wait_for

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", "So 12."]
BASE = Script(STEPS, answer="There are 12 legs.", scores=[9, 3, 9])
DRAFT = Script(WRONG)


@asynccontextmanager
async def served(
    base: Script | ScriptedServer = BASE,
    draft: Script | ScriptedServer = DRAFT,
    *,
    template: Any = "think",
    **values: Any,
) -> AsyncIterator[tuple[ChatSpecReason, ScriptedPair]]:
    """A model in the loop of the test."""
    async with scripted_pair(base, draft, template=template) as servers, Pair(servers.config) as pair:
        yield ChatSpecReason(pair=pair, **values), servers


@contextmanager
def served_beside(*args: Any, **values: Any) -> Iterator[tuple[ChatSpecReason, ScriptedPair]]:
    """A model whose servers run in the background loop: a test may then wait without running one."""
    it = served(*args, **values)
    try:
        yield wait_for(it.__aenter__())
    finally:
        wait_for(it.__aexit__(None, None, None))
