"""The parts of a soak: scripted servers, a database that restarts, and real models."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from langgraph.checkpoint.memory import InMemorySaver
from rich.console import Console
from rich.progress import Progress

from specreason_graph import Pair

from .flat import Figures, settled
from .lives import Runs
from .questions import Question, scripted, sums
from .servers import Made, of_models, of_scripts, served
from .stores import one_life, postgres
from .tally import Tally


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a part."""

    questions: int
    at_once: int
    share: float
    """Of the requests that meet a fault."""
    seed: int
    console: Console


@dataclass(frozen=True, slots=True)
class Report:
    """What a part came to."""

    name: str
    tally: Tally
    faults: Counter[str]
    held: tuple[Figures, Figures]
    """By this process, behind a tenth of the runs and behind all."""

    @property
    def problems(self) -> list[str]:
        """All that makes it a failure."""
        return [f"{self.name}: {it}" for it in (*self.tally.problems, *self.held[1].grown(self.held[0]))]

    @property
    def line(self) -> str:
        """For people."""
        counts = ", ".join(f"{number} {name}" for name, number in self.tally.counts.items())
        stops = ", ".join(f"{name} {number}" for name, number in self.tally.stops.most_common())
        first, last = self.held
        grown = ", ".join(f"{name} {getattr(first, name)} → {getattr(last, name)}" for name in first._fields)
        return f"{self.name}: {counts} ({stops}); {self.faults.total()} faults; {grown}"


async def on_scripts(load: Load) -> Report:
    """Scripted servers, and runs that are kept in this process."""
    return await _kept_here("scripted servers", load, partial(of_scripts, load.seed), scripted)


async def on_models(load: Load) -> Report:
    """The embedded pair; of its texts nothing is known but that they stay what was told."""
    return await _kept_here("embedded pair", load, of_models, sums)


async def on_postgres(load: Load) -> Report:
    """Scripted servers, and a PostgreSQL that crashes and comes back at a third and at two thirds of the runs."""
    tally, crashes = Tally(), (load.questions // 3, 2 * load.questions // 3)
    with postgres() as database, served(partial(of_scripts, load.seed), load.share, load.seed) as servers:

        async def over(_: str) -> None:
            if tally.counts["questions"] in crashes:
                await database.restart()

        await database.setup()
        async with Pair(servers.config) as first, Pair(servers.config) as second:
            runs = Runs((first, second), database.store.saver, over, tally, load.seed)
            held = await _all(runs, "PostgreSQL", load, scripted)
    return Report("PostgreSQL", tally, servers.faults, held)


async def _kept_here(name: str, load: Load, made: Made, question: Callable[[int, int], Question]) -> Report:
    saver = InMemorySaver()
    with served(made, load.share, load.seed) as servers:
        async with Pair(servers.config) as first, Pair(servers.config) as second:
            runs = Runs((first, second), partial(one_life, saver), saver.adelete_thread, Tally(), load.seed)
            held = await _all(runs, name, load, question)
    return Report(name, runs.tally, servers.faults, held)


async def _all(runs: Runs, name: str, load: Load, question: Callable[[int, int], Question]) -> tuple[Figures, Figures]:
    """All runs, so many at once; looked at behind a tenth of them, and behind all."""
    places = asyncio.Semaphore(load.at_once)
    first = min(load.questions, max(load.at_once, load.questions // 10))  # as many at once as later on
    with Progress(console=load.console) as progress:
        bar = progress.add_task(name, total=load.questions)

        async def run(number: int) -> None:
            async with places:
                await runs.through(str(number), question(load.seed, number))
            progress.advance(bar)

        async def some(numbers: range) -> Figures:
            async with asyncio.TaskGroup() as group:
                for number in numbers:
                    group.create_task(run(number))
            return await settled()

        return await some(range(first)), await some(range(first, load.questions))
