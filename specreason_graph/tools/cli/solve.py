"""Runs the graph for one question, and tells what happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from langchain_core.messages import HumanMessage

from specreason_graph.contract.config import PairConfig
from specreason_graph.contract.errors import SpecReasonError
from specreason_graph.contract.events import Event
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.state import SpecReasonState
from specreason_graph.judging.policy import FittedPolicy
from specreason_graph.loop.graph import create_specreason
from specreason_graph.loop.report import Report, report
from specreason_graph.models.pair import Pair


def solve(
    config: PairConfig,
    question: HumanMessage,
    settings: Settings,
    on_event: Callable[[Event], None],
    policies: Sequence[FittedPolicy] = (),
) -> tuple[Report, SpecReasonError | KeyboardInterrupt | None]:
    """Answer one question; an error or Ctrl-C loses no step that was finished before it.

    Returns:
        What was reached, and the error or the Ctrl-C that ended it, if one did.
    """
    reached: dict[str, Any] = {}
    failure: SpecReasonError | KeyboardInterrupt | None = None
    try:
        asyncio.run(_solve(config, question, settings, on_event, policies, reached))
    except (SpecReasonError, KeyboardInterrupt) as error:
        failure = error
    return report(cast(SpecReasonState, reached)), failure


async def _solve(
    config: PairConfig,
    question: HumanMessage,
    settings: Settings,
    on_event: Callable[[Event], None],
    policies: Sequence[FittedPolicy],
    reached: dict[str, Any],
) -> None:
    async with Pair(config) as pair:
        graph = create_specreason(pair=pair, settings=settings, policies=policies).compile()
        stream = graph.astream(
            {"messages": [question]},
            stream_mode=["custom", "values"],
            version="v2",
        )
        async for part in stream:
            if part["type"] == "custom":
                on_event(cast(Event, part["data"]))
            elif part["type"] == "values":
                reached.update(cast(dict[str, Any], part["data"]))
