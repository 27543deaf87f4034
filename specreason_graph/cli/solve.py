"""Runs the graph for one question, and tells what happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from langchain_core.messages import HumanMessage

from specreason_graph.config import PairConfig
from specreason_graph.events import Event
from specreason_graph.graph import create_specreason
from specreason_graph.pair import Pair
from specreason_graph.report import Report, report
from specreason_graph.settings import Settings
from specreason_graph.state import SpecReasonState


class Stopped(Exception):
    """Ctrl-C: what was reached until then."""

    def __init__(self, reached: Report) -> None:
        super().__init__("stopped")
        self.reached = reached


def solve(config: PairConfig, question: str, settings: Settings, on_event: Callable[[Event], None]) -> Report:
    """Answer one question.

    Raises:
        Stopped: Ctrl-C was pressed.
        SpecReasonError: something can't work or failed.
    """
    reached: dict[str, Any] = {}
    try:
        asyncio.run(_solve(config, question, settings, on_event, reached))
    except KeyboardInterrupt:
        raise Stopped(report(cast(SpecReasonState, reached))) from None
    return report(cast(SpecReasonState, reached))


async def _solve(
    config: PairConfig,
    question: str,
    settings: Settings,
    on_event: Callable[[Event], None],
    reached: dict[str, Any],
) -> None:
    async with Pair(config) as pair:
        graph = create_specreason(pair=pair, settings=settings).compile()
        stream = graph.astream(
            {"messages": [HumanMessage(question)]},
            {"recursion_limit": settings.recursion_limit},
            stream_mode=["custom", "values"],
            version="v2",
        )
        async for part in stream:
            if part["type"] == "custom":
                on_event(cast(Event, part["data"]))
            elif part["type"] == "values":
                reached.update(cast(dict[str, Any], part["data"]))
