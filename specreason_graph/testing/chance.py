"""Faults for a share of all requests, for tests that go on for long."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b

from specreason_graph.testing.wire_fault import KINDS, WireFault

ANY: tuple[WireFault, ...] = tuple(WireFault(kind) for kind in KINDS)
"""One of each kind, in place of an answer where that can be."""


class Chance:
    """Draws the fault of each request from a seed and the request itself, so the order in which they come is nothing.

    A request that is sent again is drawn anew.

    Example:
        async with FaultProxy(server.url, Chance(0.05, seed=7)) as proxy:
            ...

    Args:
        share: of the requests, from 0 to 1.
        faults: what they meet, each as often as the others.
        seed: another one draws others.
    """

    def __init__(self, share: float, faults: Sequence[WireFault] = ANY, *, seed: int = 0) -> None:
        self.met: Counter[str] = Counter()
        """How many requests met each kind."""
        self._share = share
        self._faults = faults
        self._seed = seed
        self._sent: Counter[bytes] = Counter()

    def of(self, path: str, body: bytes) -> WireFault | None:
        """What a request meets; None: nothing."""
        request = blake2b(path.encode() + b"\n" + body, digest_size=8).digest()
        self._sent[request] += 1
        drawn = random.Random(f"{self._seed} {request.hex()} {self._sent[request]}")
        if drawn.random() >= self._share:
            return None
        fault = drawn.choice(self._faults)
        self.met[fault.kind] += 1
        return fault
