"""A chat model on two scripted servers, for async tests and for sync ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from langchain_core.messages import AIMessageChunk

from specreason_graph import ChatSpecReason, EndpointConfig, Pair, PairConfig
from specreason_graph.testing import Script, ScriptedPair, ScriptedServer, scripted_pair
from specreason_graph.use.background import wait_for

QUESTION = "How many legs have 3 cows?"
NOWHERE = PairConfig(
    base=EndpointConfig(base_url="http://127.0.0.1:9"), draft=EndpointConfig(base_url="http://127.0.0.1:9")
)
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


def offline(**values: Any) -> ChatSpecReason:
    """A model whose servers are not there."""
    return ChatSpecReason(pair=Pair(NOWHERE), **values)


async def streamed(model: Any, question: Any = QUESTION, **kwargs: Any) -> tuple[AIMessageChunk, list[AIMessageChunk]]:
    """A stream joined, and its chunks."""
    chunks = [chunk async for chunk in model.astream(question, **kwargs)]
    return sum(chunks[1:], chunks[0]), chunks
