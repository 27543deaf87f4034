"""Many questions at once, with the gate and without: how fast against as many questions to base alone.

Questions of one cell begin together; those of a wave one after the other, in a load that rises and falls.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from paced_profiles import SERVERS, Server
from paced_runs import AUTO, BASE, stage
from paced_servers import ServerProcess
from paced_traces import Trace, synthetic

from specreason_graph.tools.profiles import profiles

ALWAYS = "both"
"""Both overlaps at any load."""
WAYS = (BASE, ALWAYS, AUTO)


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What is run."""

    profile: str = "2xA6000"
    servers: tuple[Server, ...] = SERVERS
    questions: tuple[int, ...] = (1, 8, 32, 64)
    acceptances: tuple[int, ...] = (10, 40, 80)
    steps: int = 20
    tokens: int = 23
    wave: int = 48
    """Questions of the load that rises and falls; half of them in its middle third."""

    @property
    def runs(self) -> int:
        """How many there are to count."""
        cells = len(self.questions) + (1 if self.wave else 0)
        return len(self.servers) * cells * len(self.acceptances) * len(WAYS)

    @property
    def minutes(self) -> float:
        """How long they take, about: each run as long as base alone, and a wave three times."""
        alone = self.steps * self.tokens * profiles()[self.profile].base_ms / 1000
        cells = len(self.questions) + (3 if self.wave else 0)
        return len(self.servers) * cells * len(self.acceptances) * len(WAYS) * alone / 60


async def load(plan: LoadPlan, processes: Sequence[ServerProcess], done: Callable[[], None]) -> dict[str, Any]:
    """`{server: {questions: {acceptance: {"auto", "always"}}}}`: times base alone; `wave` stands beside the numbers."""
    found: dict[str, Any] = {}
    for server in plan.servers:
        for questions in plan.questions:
            found.setdefault(server, {})[str(questions)] = {
                str(a): await _cell(plan, processes, server, a, [0.0] * questions, done) for a in plan.acceptances
            }
        if plan.wave:
            for acceptance in plan.acceptances:
                seconds = synthetic(acceptance / 100, steps=plan.steps, tokens=plan.tokens, seed=acceptance)
                begins = wave(plan.wave, profiles()[plan.profile].base_ms / 1000 * _tokens(seconds))
                cell = await _cell(plan, processes, server, acceptance, begins, done)
                found[server].setdefault("wave", {})[str(acceptance)] = cell
    return found


def wave(questions: int, seconds: float) -> list[float]:
    """When each question of a rising and falling load begins, over about twice the `seconds` that one takes alone."""
    # The places of a triangle's area in equal parts: dense in the middle.
    parts = [(number + 0.5) / questions for number in range(questions)]
    return [2 * seconds * ((part / 2) ** 0.5 if part <= 0.5 else 1 - ((1 - part) / 2) ** 0.5) for part in parts]


def _tokens(trace: Trace) -> int:
    return sum(step.written for step in trace.steps)


async def _cell(
    plan: LoadPlan,
    processes: Sequence[ServerProcess],
    server: Server,
    acceptance: int,
    begins: Sequence[float],
    done: Callable[[], None],
) -> dict[str, float]:
    trace = synthetic(acceptance / 100, steps=plan.steps, tokens=plan.tokens, seed=acceptance)
    taken = {way: await _taken(plan, processes, server, trace, way, begins, done) for way in WAYS}
    return {name: taken[BASE] / taken[way] for name, way in (("auto", AUTO), ("always", ALWAYS))}


async def _taken(
    plan: LoadPlan,
    processes: Sequence[ServerProcess],
    server: Server,
    trace: Trace,
    way: str,
    begins: Sequence[float],
    done: Callable[[], None],
) -> float:
    """Seconds of all questions together: of a cell that begins at once, as many times its length."""
    async with stage(processes, trace, profiles()[plan.profile], server) as it:

        async def ask(number: int, begins: float) -> float:
            await asyncio.sleep(begins)
            began = time.perf_counter()
            await it.solve(way, number)
            return time.perf_counter() - began

        seconds = await asyncio.gather(*(ask(number, at) for number, at in enumerate(begins)))
    done()
    return sum(seconds)
