"""What a server says of its load with an answer: vLLM's header `endpoint-load-metrics` (ORCA), where it is asked to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

ASKS = {"endpoint-load-metrics-format": "JSON"}
"""Header of a request; of streams and other servers it is ignored."""
_SAYS = "endpoint-load-metrics"
_WAITING = "num_requests_waiting"

Heard = Callable[[int], None]
"""Told how many requests wait in a server."""


def waiting(headers: Mapping[str, str]) -> int | None:
    """How many requests wait in the server, by the headers of its answer; None: they don't say."""
    said = headers.get(_SAYS, "")
    if not said.startswith("JSON "):
        return None
    try:
        return max(0, int(json.loads(said.removeprefix("JSON "))["named_metrics"][_WAITING]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
