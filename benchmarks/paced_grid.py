"""Every trace in every mode on every server of every profile, and many questions at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from paced_profiles import SERVERS, Server
from paced_runs import BASE, MODES, Solved, solved, stage
from paced_servers import ServerProcess
from paced_traces import Trace, recorded, synthetic

from specreason_graph.tools.profiles import profiles

WAYS = (BASE, *MODES)
WAYS_AT_ONCE = (BASE, "sequential", "look_ahead", "both")
SPECULATIVE = "+sd"
"""Behind a mode's name: with speculative decoding inside base."""
RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run."""

    profiles: tuple[str, ...] = ("2xA6000", "h100-bf16", "h100-fp8")
    acceptances: tuple[int, ...] = (10, 20, 40, 60, 80, 95)
    """In per cent, of synthetic traces."""
    steps: int = 40
    tokens: int = 23
    """Of a step; 23 is the mean of 2,070 logged ones."""
    recorded: int = 4
    """Problems of the recorded runs that are replayed, one after the other."""
    gain: float = 1.5
    """Tokens a pass of base gives with speculative decoding inside it."""
    speculative: tuple[int, ...] = (40, 80)
    """Acceptances that are run with it, too."""
    lanes: int = 6
    """Runs at the same time, each on servers of its own."""
    at_once: tuple[int, ...] = (1, 8, 32)
    """Questions at the same time on the same servers."""
    profile_at_once: str = "2xA6000-judge-alone"
    """On a faster one, 32 drafts are more than one scripted server can say."""
    servers_at_once: tuple[Server, ...] = SERVERS
    steps_at_once: int = 10
    """Of each question."""
    own_steps: tuple[int, ...] = (10, 100, 1000)
    """Steps of a run at which our own time is read."""
    own_steps_http: tuple[int, ...] = (10, 100, 1000)
    """Likewise with HTTP, where a scripted server takes its time over a prompt of a thousand steps."""

    def traces(self) -> dict[str, list[Trace]]:
        """By acceptance; the recorded ones last."""
        made = {str(a): [synthetic(a / 100, steps=self.steps, tokens=self.tokens, seed=a)] for a in self.acceptances}
        return {**made, RECORDED: recorded(self.recorded)} if self.recorded else made


class Cell(NamedTuple):
    """One place of the table of results."""

    profile: str
    server: Server
    acceptance: str
    mode: str
    """One of `WAYS`, with `SPECULATIVE` behind it or not."""


Cells = dict[Cell, list[Solved]]


def cells(plan: Plan) -> list[Cell]:
    """In the order they are run: modes take turns, and another one begins each time."""
    found = []
    for name in plan.profiles:
        for server in SERVERS:
            for turn, acceptance in enumerate(plan.traces()):
                speculative = acceptance in map(str, plan.speculative)
                modes = [*WAYS, *(mode + SPECULATIVE for mode in WAYS if speculative)]
                shift = turn % len(modes)
                found += [Cell(name, server, acceptance, mode) for mode in modes[shift:] + modes[:shift]]
    return found


async def run_cells(plan: Plan, processes: Sequence[ServerProcess], done: Callable[[], None]) -> Cells:
    """Run everything, some at a time.

    Raises:
        SpecReasonError: a run went another way than its trace.
    """
    traces, lanes = plan.traces(), asyncio.Semaphore(plan.lanes)

    async def run(cell: Cell) -> list[Solved]:
        mode = cell.mode.removesuffix(SPECULATIVE)
        gain = plan.gain if cell.mode != mode else 1.0
        async with lanes:
            found = await solved(processes, traces[cell.acceptance], profiles()[cell.profile], cell.server, gain, mode)
        done()
        return found

    order = cells(plan)
    return dict(zip(order, await asyncio.gather(*map(run, order)), strict=True))


def figures(found: Cells) -> dict[str, Any]:
    """`{profile: {server: {acceptance: {mode: figures}}}}`.

    `ratio` is to base alone on the same traces, with speculative decoding on both sides or on neither; of base with
    it, to base without.
    """
    tree: dict[str, Any] = {}
    for cell, runs in found.items():
        mode = cell.mode.removesuffix(SPECULATIVE)
        against = BASE + (SPECULATIVE if cell.mode != mode and mode != BASE else "")
        seconds = sum(run.seconds for run in runs)
        place = tree.setdefault(cell.profile, {}).setdefault(cell.server, {}).setdefault(cell.acceptance, {})
        place[cell.mode] = {
            "ratio": sum(run.seconds for run in found[cell._replace(mode=against)]) / seconds,
            "seconds": seconds / len(runs),
            "efficiency": sum(run.unavoidable for run in runs) / seconds,
            **{f"{role}_tokens": sum(_tokens(runs, role)) / len(runs) for role in ("base", "draft")},
        }
    return tree


def _tokens(runs: Sequence[Solved], call: str) -> Iterator[int]:
    return (request.tokens for run in runs for request in run.requests if request.call == call)


async def at_once(plan: Plan, processes: Sequence[ServerProcess], done: Callable[[], None]) -> dict[str, Any]:
    """`{questions: {"efficiency", …, "servers": {server: {mode: figures}}}}`: many questions on the same two servers.

    The figures in front are those of both overlaps on the ideal server.
    """
    trace, profile = synthetic(0.8, steps=plan.steps_at_once, tokens=plan.tokens), profiles()[plan.profile_at_once]
    result: dict[str, Any] = {}
    for count in plan.at_once:
        servers: dict[str, Any] = {}
        for server in plan.servers_at_once:
            walls: dict[str, float] = {}
            for mode in WAYS_AT_ONCE:
                async with stage(processes, trace, profile, server) as it:
                    cpu, began = time.process_time(), time.perf_counter()
                    seconds = await asyncio.gather(*(it.solve(mode, number) for number in range(count)))
                    walls[mode] = time.perf_counter() - began
                    cpu = time.process_time() - cpu
                    unavoidable = await it.unavoidable(mode)
                servers.setdefault(server, {})[mode] = {
                    "efficiency": count * unavoidable / sum(seconds),
                    "throughput_ratio": walls[BASE] / walls[mode],
                    "seconds": sum(seconds) / count,
                    "client_cpu_ms_per_step": 1000 * cpu / (count * len(trace.steps)),
                }
                done()
        result[str(count)] = {**servers["ideal"]["both"], "servers": servers}
    return result
