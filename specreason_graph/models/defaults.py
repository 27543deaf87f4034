"""The pairs to run on when none is given: those of the environment, else the embedded pair."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from functools import cache

from specreason_graph.contract.config import Environment, PairConfig
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.pair import Pair
from specreason_graph.models.weights import pull


def default_pairs() -> dict[str, Pair]:
    """A client for every configured pair; without any, the embedded engine is started until the process ends.

    Raises:
        ConfigError: half a pair is configured, or none and the `embedded` extra is not installed.
        WeightsError: the embedded pair's files can't be fetched.
    """
    configured = Environment().configured() or {"default": _embedded()}
    return {name: Pair(config) for name, config in configured.items()}


@cache
def _embedded() -> PairConfig:
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(embedded_pair(pull()))
