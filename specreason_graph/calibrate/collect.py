"""Makes the chains of many problems, several at a time, and keeps each as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from specreason_graph.bench.concurrency import each
from specreason_graph.bench.journal import Journal
from specreason_graph.bench.problems import Problem
from specreason_graph.calibrate.chains import Chains


async def collect_chains(
    chains: Chains, problems: Sequence[Problem], journal: Journal, *, concurrency: int, done: Callable[[], None]
) -> None:
    """Make the chain of every problem that the journal does not have yet; `done` is called after each.

    Raises:
        EndpointError: a server failed; what was finished before is kept.
    """
    known = {record["problem"] for record in journal.records()}

    async def make(problem: Problem) -> None:
        journal.append(await chains.of(problem))
        done()

    await each([problem for problem in problems if problem.id not in known], make, concurrency)
