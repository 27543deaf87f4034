"""Makes the chains of many problems, several at a time, and keeps each as soon as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from specreason_graph.tools.bench.concurrency import each
from specreason_graph.tools.bench.journal import Journal
from specreason_graph.tools.bench.problems import Problem, asking
from specreason_graph.tools.calibrate.chains import Chains


async def collect_chains(
    chains: Chains, problems: Sequence[Problem], journal: Journal, *, concurrency: int, done: Callable[[], None]
) -> None:
    """Make the chain of every problem, `concurrency` at a time; `done` is called after each.

    Raises:
        ConfigError: settings, or one problem, can't work on this pair; the message names the problem.
        EndpointError: a server failed; what was finished before is kept.
    """

    async def make(problem: Problem) -> None:
        with asking(problem):
            chain = await chains.of(problem)
        journal.append(chain)
        done()

    await each(problems, make, concurrency)
