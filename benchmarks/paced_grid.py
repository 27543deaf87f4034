"""Every trace in every mode on every server of every profile, and many questions at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from paced_decoding import ACCEPTED, Accepted, accepted, decoder, drawn
from paced_load import LoadPlan
from paced_profiles import SERVERS, Server
from paced_runs import BASE, LENGTHS, MODES, Solved, solved, stage, unavoidable
from paced_servers import ServerProcess
from paced_traces import RECORDED_RUNS, Trace, recorded, synthetic

from specreason_graph.testing import Decoder
from specreason_graph.testing.pace import PLAIN
from specreason_graph.tools.profiles import profiles

WAYS = (BASE, *MODES)
WAYS_AT_ONCE = (BASE, "sequential", "look_ahead", "both")
DECODE = "+decode"
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
    recorded: int = 8
    """Problems of the recorded runs that are replayed."""
    thorough: tuple[str, ...] = ("h100-bf16",)
    """Profiles on which more of them are."""
    recorded_thorough: int = 1000
    """Problems that are replayed on those; more than there are is all."""
    decoded: tuple[int, ...] = (40, 80)
    """Acceptances at which every mode is run with speculative decoding, too, as the recorded runs are; at the others
    it is base alone and both overlaps."""
    places: int = 3
    """Places of the measured texts at which a synthetic trace is run with speculative decoding."""
    lanes: int = 6
    """Runs at the same time, each on servers of its own."""
    at_once: tuple[int, ...] = (1, 8, 32)
    """Questions at the same time on the same servers."""
    profile_at_once: str = "2xA6000-judge-alone"
    """On a faster one, 32 drafts are more than one scripted server can say."""
    servers_at_once: tuple[Server, ...] = SERVERS
    steps_at_once: int = 10
    """Of each question."""
    load: LoadPlan = field(default_factory=LoadPlan)
    """Questions at the same time with the gate and without."""
    own_steps: tuple[int, ...] = (10, 100, 1000)
    """Steps of a run at which our own time is read."""
    own_steps_http: tuple[int, ...] = (10, 100, 1000)
    """Likewise with HTTP, where a scripted server takes its time over a prompt of a thousand steps."""
    recorded_runs: Path = RECORDED_RUNS
    accepted_tokens: Path = ACCEPTED

    def traces(self, profile: str) -> dict[str, list[Trace]]:
        """By acceptance; the recorded ones last."""
        made = {str(a): [synthetic(a / 100, steps=self.steps, tokens=self.tokens, seed=a)] for a in self.acceptances}
        count = self.recorded_thorough if profile in self.thorough else self.recorded
        return {**made, RECORDED: recorded(count, self.recorded_runs)} if self.recorded else made

    def modes(self, acceptance: str) -> list[str]:
        """What is run on traces of that acceptance."""
        every = acceptance == RECORDED or int(acceptance) in self.decoded
        return [*WAYS, *(mode + DECODE for mode in (WAYS if every else (BASE, "both")))]


class Cell(NamedTuple):
    """One place of the table of results."""

    profile: str
    server: Server
    acceptance: str
    mode: str
    """One of `WAYS`, with `DECODE` behind it or not."""


class Job(NamedTuple):
    """One run of a cell."""

    cell: Cell
    trace: Trace
    decoder: Decoder

    @property
    def way(self) -> str:
        """The mode, whether or not base decodes speculatively."""
        return self.cell.mode.removesuffix(DECODE)

    @property
    def least(self) -> float:
        """Seconds that it has to take."""
        return unavoidable(self.trace, profiles()[self.cell.profile], LENGTHS, self.way, self.decoder)


Cells = dict[Cell, list[Solved]]


def jobs(plan: Plan) -> list[Job]:
    """In the order they are run: modes take turns, and another one begins each time."""
    texts = accepted(plan.accepted_tokens)
    return [
        job
        for profile in plan.profiles
        for server in SERVERS
        for turn, (acceptance, problem, trace) in enumerate(
            (acceptance, problem, trace)
            for acceptance, traces in plan.traces(profile).items()
            for problem, trace in enumerate(traces)
        )
        for mode in _turned(plan.modes(acceptance), turn)
        for job in _jobs(Cell(profile, server, acceptance, mode), problem, trace, texts, plan.places)
    ]


def _jobs(cell: Cell, problem: int, trace: Trace, texts: Accepted, places: int) -> list[Job]:
    if not cell.mode.endswith(DECODE):
        return [Job(cell, trace, PLAIN)]
    profile, proposed = profiles()[cell.profile], texts.proposed
    return [
        Job(cell, trace, decoder(profile, matches, proposed, start))
        for matches, start in proposals(texts, cell.acceptance, problem, places)
    ]


def proposals(texts: Accepted, acceptance: str, problem: int, places: int) -> list[tuple[str, int]]:
    """Measured texts, and where a trace begins in them: a recorded problem has one of its own, a synthetic trace some
    places in all of them."""
    if acceptance == RECORDED:
        return [(texts.of(problem), drawn(texts.of(problem), problem))]
    return [(texts.whole, drawn(texts.whole, seed)) for seed in range(places)]


def _turned(modes: list[str], turn: int) -> list[str]:
    shift = turn % len(modes)
    return modes[shift:] + modes[:shift]


def minutes(plan: Plan) -> float:
    """How long it takes to run them all, at least."""
    return sum(job.least for job in jobs(plan)) / plan.lanes / 60


async def run_cells(plan: Plan, processes: Sequence[ServerProcess], done: Callable[[], None]) -> Cells:
    """Run everything, some at a time.

    Raises:
        SpecReasonError: a run went another way than its trace.
    """
    lanes = asyncio.Semaphore(plan.lanes)

    async def run(job: Job) -> Solved:
        profile = profiles()[job.cell.profile]
        async with lanes:
            found = await solved(processes, job.trace, profile, job.cell.server, job.decoder, job.way)
        done()
        return found

    wanted, found = jobs(plan), Cells()
    for job, run_of_it in zip(wanted, await asyncio.gather(*map(run, wanted)), strict=True):
        found.setdefault(job.cell, []).append(run_of_it)
    return found


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
                async with stage(processes, [trace], profile, server) as it:
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
