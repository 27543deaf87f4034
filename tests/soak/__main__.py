"""Soak: thousands of runs on servers that fail, with callers that leave and processes that die.

    cd tests && python -m soak             # `make soak`: all of it, for a while
    cd tests && python -m soak --small     # what CI runs

Every fault, and every moment at which a life ends, is drawn from `--seed`; how the runs interleave is the machine's.
The last line is one of JSON, and the status is 1 if a step was lost or doubled, an error was none of ours, or
something has grown; 2 where there is no PostgreSQL.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console

from specreason_graph.endpoint import failures

from .flat import Figures
from .parts import Load, Report, on_models, on_postgres, on_scripts
from .stores import NoPostgres

_SMALL = 100  # questions


def main(
    questions: Annotated[int, typer.Option(min=0, help="Of scripted servers, 32 at once")] = 2000,
    postgres: Annotated[int, typer.Option(min=0, help="More of them, kept in a PostgreSQL that restarts")] = 200,
    embedded: Annotated[int, typer.Option(min=0, help="Of the two small real models, 4 at once")] = 100,
    faults: Annotated[float, typer.Option(min=0, max=1, help="Share of requests that meet a fault")] = 0.05,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    small: Annotated[bool, typer.Option("--small", help="100 questions of scripted servers, and nothing else")] = False,
) -> None:
    """Ask, break, resume, and compare."""
    if small:
        questions, postgres, embedded = _SMALL, 0, 0
    # Seconds: where few runs are left, one stall would hold them up for thirty.
    failures.SILENCE = 1.0  # type: ignore[attr-defined]
    console, began, reports, left_out = Console(stderr=True), time.monotonic(), list[Report](), False
    parts = ((on_scripts, questions, 32), (on_postgres, postgres, 32), (on_models, embedded, 4))
    for part, number, at_once in parts:
        if number:
            try:
                reports.append(asyncio.run(part(Load(number, at_once, faults, seed, console))))
            except NoPostgres as missing:
                left_out = True
                console.print(f"{missing}; this part is left out, as with --postgres 0")
                continue
            console.print(reports[-1].line, markup=False, highlight=False)
    for problem in (problem for report in reports for problem in report.problems):
        console.print(problem, markup=False, highlight=False)
    print(json.dumps({**_summed(reports), "seconds": round(time.monotonic() - began, 1)}))
    sys.exit(1 if any(report.problems for report in reports) else 2 if left_out else 0)


def _summed(reports: list[Report]) -> dict[str, Any]:
    """Counts of all parts; what the process held in the first one, which is the longest."""
    counts = sum((report.tally.counts for report in reports), Counter[str]())
    faults = sum((report.faults for report in reports), Counter[str]())
    held = {name: [getattr(look, name) for look in reports[0].held] for name in Figures._fields} if reports else {}
    resumed = sum(counts[how] for how in ("stopped", "cancelled", "killed"))
    told = ("questions", "answered", "stopped", "lost", "doubled", "cancelled", "killed", "untyped")
    return {
        **{name: counts[name] for name in told},
        "resumed": resumed,
        "faults": faults.total(),
        **held,
        "by_kind": dict(sorted(faults.items())),
    }


if __name__ == "__main__":
    typer.run(main)
