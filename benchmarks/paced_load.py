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

    profile: str = "2xA6000-judge-alone"
    judge: str = "likelihood"
    """Read from one prompt: what a loaded base can best afford."""
    servers: tuple[Server, ...] = SERVERS
    questions: tuple[int, ...] = (1, 8, 32, 64)
    acceptances: tuple[int, ...] = (10, 40, 80)
    steps: int = 20
    tokens: int = 23
    wave: int = 48
    """Questions of the load that rises and falls; more than half of them in its middle third."""

    @property
    def alone(self) -> float:
        """Seconds that base alone takes over a question, about."""
        return self.steps * self.tokens * profiles()[self.profile].base_ms / 1000

    @property
    def runs(self) -> int:
        """How many there are to count."""
        cells = len(self.questions) + (1 if self.wave else 0)
        return len(self.servers) * cells * len(self.acceptances) * len(WAYS)

    @property
    def minutes(self) -> float:
        """How long they take, about: each run as long as base alone, and a wave three times."""
        cells = len(self.questions) + (3 if self.wave else 0)
        return len(self.servers) * cells * len(self.acceptances) * len(WAYS) * self.alone / 60


async def load(plan: LoadPlan, processes: Sequence[ServerProcess], done: Callable[[], None]) -> dict[str, Any]:
    """`{server: {questions: {acceptance: {"auto", "always"}}}}`: times base alone; `wave` stands beside the numbers."""
    loads = {str(questions): [0.0] * questions for questions in plan.questions}
    if plan.wave:
        loads["wave"] = wave(plan.wave, plan.alone)
    return {
        server: {
            name: {str(a): await _cell(plan, processes, server, a, begins, done) for a in plan.acceptances}
            for name, begins in loads.items()
        }
        for server in plan.servers
    }


def wave(questions: int, seconds: float) -> list[float]:
    """When each question of a rising and falling load begins, over about twice the `seconds` that one takes alone."""
    # The places of a triangle's area in equal parts: dense in the middle.
    parts = [(number + 0.5) / questions for number in range(questions)]
    return [2 * seconds * ((part / 2) ** 0.5 if part <= 0.5 else 1 - ((1 - part) / 2) ** 0.5) for part in parts]


async def _cell(
    plan: LoadPlan,
    processes: Sequence[ServerProcess],
    server: Server,
    acceptance: int,
    begins: Sequence[float],
    done: Callable[[], None],
) -> dict[str, float]:
    traces = [
        synthetic(acceptance / 100, steps=plan.steps, tokens=plan.tokens, seed=1000 * acceptance + number)
        for number in range(len(begins))
    ]
    taken = {way: await _taken(plan, processes, server, traces, way, begins, done) for way in WAYS}
    return {name: taken[BASE] / taken[way] for name, way in (("auto", AUTO), ("always", ALWAYS))}


async def _taken(
    plan: LoadPlan,
    processes: Sequence[ServerProcess],
    server: Server,
    traces: Sequence[Trace],
    way: str,
    begins: Sequence[float],
    done: Callable[[], None],
) -> float:
    """Seconds of all questions together, each from when it begins."""
    async with stage(processes, traces, profiles()[plan.profile], server) as it:

        async def ask(number: int, begins: float) -> float:
            await asyncio.sleep(begins)
            began = time.perf_counter()
            await it.solve(way, number, plan.judge)
            return time.perf_counter() - began

        seconds = await asyncio.gather(*(ask(number, at) for number, at in enumerate(begins)))
    done()
    return sum(seconds)
