"""Whether the pair's servers answer: asked rarely, and of all who want to know at the same time once."""

from __future__ import annotations

import asyncio
import time

from specreason_graph.contract.errors import SpecReasonError
from specreason_graph.contract.settings import ROLES, Role
from specreason_graph.endpoint import Endpoint
from specreason_graph.models.pair import Pair

_FRESH = 5.0  # seconds for which an answer is true
_PATIENCE = 3.0  # seconds; a server that takes longer for this is of no use
_PROBE = "ready?"


class Readiness:
    """Of one pair."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._asking = asyncio.Lock()
        self._asked = float("-inf")
        self._answers: dict[Role, bool] = {}

    async def roles(self) -> dict[Role, bool]:
        """Whose server answers; with several of a role, whether one does."""
        async with self._asking:
            if time.monotonic() > self._asked + _FRESH:
                answers = await asyncio.gather(*(_answers(self._pair.endpoint(role)) for role in ROLES))
                self._answers = dict(zip(ROLES, answers, strict=True))
                self._asked = time.monotonic()
            return self._answers


async def _answers(endpoint: Endpoint) -> bool:
    """A few letters as tokens: no model is run, so a full queue does not look like a dead server."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await endpoint.encode(_PROBE)
    except (SpecReasonError, TimeoutError):
        return False
    return True
