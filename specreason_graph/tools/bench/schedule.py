"""Which arm runs when: they take turns on every problem, so that what drifts on a machine hits all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from specreason_graph.tools.bench.arms import Arms
from specreason_graph.tools.bench.concurrency import each
from specreason_graph.tools.bench.journal import Journal
from specreason_graph.tools.bench.outcome import Arm, Outcome
from specreason_graph.tools.bench.problems import Problem, asking

Turn = tuple[Problem, Arm, int]
"""A problem, an arm, and which sample of it."""


def turns(problems: Sequence[Problem], arms: Sequence[Arm], samples: int) -> list[Turn]:
    """Everything there is to run, in order: each problem begins with another arm than the one before."""
    return [
        (problem, arm, sample)
        for sample in range(samples)
        for at, problem in enumerate(problems)
        for arm in [*arms[at % len(arms) :], *arms[: at % len(arms)]]
    ]


def missing(todo: Sequence[Turn], records: Iterable[Mapping[str, Any]]) -> list[Turn]:
    """The turns that a journal's records do not have yet."""
    known = {(record["problem"], record["arm"], record["sample"]) for record in records}
    return [(problem, arm, sample) for problem, arm, sample in todo if (problem.id, arm, sample) not in known]


async def run_turns(
    arms: Arms, todo: Sequence[Turn], journal: Journal, *, concurrency: int, done: Callable[[], None]
) -> None:
    """Run these turns, `concurrency` at a time; `done` is called after each.

    Raises:
        ConfigError: settings, or one problem, can't work on this pair; the message names the problem.
        EndpointError: a server failed; what was finished before is kept.
    """

    async def run(turn: Turn) -> None:
        problem, arm, sample = turn
        with asking(problem):
            outcome = await arms.run(arm, problem, sample)
        journal.append(outcome)
        done()

    await each(todo, run, concurrency)


def outcomes_of(records: Iterable[Mapping[str, Any]], todo: Sequence[Turn]) -> list[Outcome]:
    """The outcomes of these turns, in their order; a journal's records may hold more."""
    found = {(r["problem"], r["arm"], r["sample"]): cast(Outcome, r) for r in records}
    keys = [(problem.id, arm, sample) for problem, arm, sample in todo]
    return [found[key] for key in keys if key in found]
