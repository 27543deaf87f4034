"""SpecReason against servers at the pace of real hardware: simulated, but by the real graph over real HTTP.

    python benchmarks/paced.py [--quick] [--json] [--plots DIR]
    python benchmarks/paced.py --record runs.jsonl    # replay your own runs of `specreason bench`

Two scripted servers, in processes of their own, say what a trace says at the pace of a profile (`profiles.toml`), and
the same trace is run in every mode: base alone in one generation, SpecReason as in the paper, with look-ahead, with
hedge, with both; and each of them with speculative decoding inside base (`+decode`), which accepts token by token as
was measured on real models (`accepted_tokens.json`). The servers' models are written down in
`specreason_graph/testing/pace.py` (ideal) and `engine.py` (step-synchronous), what efficiency is measured by in
`critical_path.py`, and all of it in docs/speed.md. Nothing is simulated in our own time.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from own_time import RUNS, own_time
from paced_decoding import accepted
from paced_figures import baselines, crossings, figures, recorded_place
from paced_grid import WAYS_AT_ONCE, Cells, Plan, at_once, jobs, minutes, run_cells
from paced_load import LoadPlan, load
from paced_plots import plot
from paced_report import show
from paced_servers import ServerProcess
from paced_sweep import sweep
from paced_traces import RECORDED_RUNS, record
from rich.console import Console

from specreason_graph.contract.errors import SpecReasonError
from specreason_graph.tools.cli.progress import counting
from specreason_graph.tools.profiles import profiles

FULL = Plan()
QUICK = Plan(
    profiles=("h100-bf16",),
    acceptances=(40, 80),
    steps=10,
    recorded=2,
    recorded_thorough=2,
    decoded=(40,),
    places=1,
    servers_at_once=("ideal",),
    load=LoadPlan(servers=("step_synchronous",), questions=(4,), acceptances=(40,), steps=5, wave=0),
    steps_at_once=5,
    own_steps_http=(10, 100),
)


def main(
    quick: Annotated[bool, typer.Option(help="One profile, two acceptances, few steps: two minutes")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables")] = False,
    plots: Annotated[Path | None, typer.Option(help="Folder for the plots", metavar="DIR")] = None,
    lanes: Annotated[
        int, typer.Option(min=1, help="Runs at the same time; fewer disturb each other less")
    ] = FULL.lanes,
    steps: Annotated[int | None, typer.Option(min=5, help="Steps of a synthetic trace")] = None,
    profile: Annotated[list[str] | None, typer.Option(help="Only this profile; may be repeated")] = None,
    problems: Annotated[
        int | None, typer.Option(min=1, help="Recorded problems that are replayed at most, on any profile")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option("--record", help="Only take the counts out of a journal of `specreason bench`, for replay"),
    ] = None,
    arm: Annotated[str, typer.Option(help="Whose runs `--record` takes")] = "ours",
) -> None:
    """Measure, and print tables."""
    plan = replace(QUICK if quick else FULL, lanes=lanes)
    if problems is not None:
        most = min(problems, plan.recorded_thorough)
        plan = replace(plan, recorded=min(problems, plan.recorded), recorded_thorough=most)
    unknown = set(profile or ()) - set(profiles())
    if unknown:
        raise typer.BadParameter(f"there is no profile {unknown.pop()!r}; known are {', '.join(profiles())}")
    plan = replace(plan, steps=steps or plan.steps, profiles=tuple(profile or plan.profiles))
    errors = Console(stderr=True)
    try:
        if journal is not None:
            print(f"{record(journal, arm, RECORDED_RUNS)} problems are in {RECORDED_RUNS}")
            return
        about = minutes(plan) + plan.load.minutes
        errors.print(f"about {about:.0f} minutes, and a few for our own time", markup=False)
        results, found = asyncio.run(measure(plan))
        written = plot(found, results, plots) if plots else []
    except SpecReasonError as error:
        errors.print(f"error: {error}", markup=False)
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps(results))
        return
    show(results, Console())
    for path in written:
        Console().print(f"plot: {path}", markup=False)


async def measure(plan: Plan) -> tuple[dict[str, Any], Cells]:
    """Everything that the plan says: figures for scripts, and the runs that they come from."""
    questions = len(plan.at_once) * len(plan.servers_at_once) * len(WAYS_AT_ONCE)
    total = len(RUNS) + 1 + questions + plan.load.runs + len(jobs(plan))
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(ServerProcess()) for _ in ("base", "draft")]
        with counting("runs", total) as done:
            own = await own_time(plan.own_steps, plan.own_steps_http, processes, plan.tokens, done)
            concurrent = await at_once(plan, processes, done)
            loaded = await load(plan.load, processes, done)
            found = await run_cells(plan, processes, done)
    tree = figures(found)
    results = {
        "simulated": True,
        "profiles": tree,
        "decoder": accepted(plan.accepted_tokens).figures(),
        "baselines": baselines(tree),
        "crossings": crossings(tree),
        "recorded": {profile: recorded_place(plan, profile) for profile in plan.profiles if plan.recorded},
        "sweep": sweep(plan),
        "own_ms": own,
        "concurrent": concurrent,
        "load": loaded,
    }
    return results, found


if __name__ == "__main__":
    typer.run(main)
