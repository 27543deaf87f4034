"""When a request is tried again: one rule, for one server and around several of them.

Only what may pass by itself: a busy server (408, 429, 503), a gateway that lost the one behind it (502, 504), a
connection that was refused or dropped. A request that is wrong, and a server that broke on it (500), would be so again.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import (
    EndpointError,
    EndpointFailed,
    EndpointTimeout,
    EndpointUnreachable,
    TruncatedResponse,
)

BUSY = frozenset({408, 429, 503})
"""Statuses of a server that is there, and takes no more."""
GONE = frozenset({502, 504})
"""Statuses of a gateway that does not reach the server behind it."""

_PATIENCE, _WITH_DRAFT = 10.0, 2.0  # seconds; what a draft does not write, base can
_TRIES = 8
_BACKOFF = wait_random_exponential(multiplier=0.25, max=4.0)  # seconds, drawn from nothing up to twice as many a try
_APART = 0.25  # seconds; who was sent away together does not come back together


def patience_with(role: str, config: EndpointConfig) -> float:
    """Seconds in which a request to a server is tried again: as many as were set, or as its role makes sense of."""
    if config.patience is not None:
        return config.patience
    return _WITH_DRAFT if role == "draft" else _PATIENCE


def is_passing(error: BaseException) -> bool:
    """Whether a second try, or another server, may not meet this."""
    if isinstance(error, EndpointFailed):
        return error.status in BUSY | GONE
    return isinstance(error, EndpointUnreachable | EndpointTimeout | TruncatedResponse)


def retrying(patience: Callable[[], float], worth: Callable[[BaseException], bool]) -> AsyncRetrying:
    """Calls what it is given until that does not fail, and raises its last error.

    Args:
        patience: seconds from the first try to the last one, asked after each; a wait that ends later is not begun.
        worth: whether an error is worth another try. One that says when (`retry_after`) is waited for.
    """

    def spent(state: RetryCallState) -> bool:
        seconds = (state.seconds_since_start or 0.0) + state.upcoming_sleep
        return state.attempt_number >= _TRIES or seconds >= patience()

    return AsyncRetrying(retry=retry_if_exception(worth), stop=spent, wait=_wait, reraise=True)


def asked_to_wait(header: str | None) -> float | None:
    """Seconds that a `Retry-After` says, as a number or as a date; None where it says nothing that can be read."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.retry_after if isinstance(error, EndpointError) else None
    # Who says 0, or a date by a clock that is late, would have all tries at once.
    return _BACKOFF(state) if asked is None else max(_BACKOFF(state), asked + random.uniform(0.0, _APART))
