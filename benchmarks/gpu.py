"""SpecReason on a CUDA machine: what tokens, judges and whole runs cost on two real vLLM servers.

    python benchmarks/gpu.py --tokenizer DIR      # dummy weights of 32B and 1.5B
    python benchmarks/gpu.py --tokenizer DIR --base qwen2.5-14b --draft qwen2.5-0.5b --quick
    python benchmarks/gpu.py qwen3-32b+1.7b       # real models, named or in a file as for `specreason up`

Acceptance is forced, in real models too: the judge is asked and paid for, and a seeded coin takes the place of its
verdict. So speed at a given acceptance is measured, and nothing about quality. Each figure is written to the file as
soon as it is there; the same command goes on behind those that it holds. docs/vllm.md says what each figure means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import typer
from gpu_calls import Stage, time_judge, time_tokens
from gpu_cells import PARTS, PLAIN, Cell, Extent, JudgeCall, Part, Runs, Tokens, alone, cells, context_of
from gpu_machine import machine, today
from gpu_models import TOKENS_A_PASS, Models, models, shapes, with_decode
from gpu_results import Results, key
from gpu_runs import ForcedAcceptance, time_runs
from gpu_tables import show
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from specreason_graph import Pair, Settings
from specreason_graph.contract.errors import EndpointError, SpecReasonError
from specreason_graph.judging.catalog import builtin
from specreason_graph.loop.opened import preset_of
from specreason_graph.tools.cli.progress import stoppable
from specreason_graph.tools.launch import LaunchPlan, load_plan, running
from specreason_graph.tools.launch.command import commands

FULL = Extent()
QUICK = Extent(contexts=(1024, 4096), acceptances=(50,), at_once=(1, 8), run_tokens=256, rounds=1, calls=10)
_QUICK_PARTS: tuple[Part, ...] = ("tokens", "judge", "runs", "at_once")
_DEFAULTS = {"base": "qwen2.5-32b", "draft": "qwen2.5-1.5b"}
_FREE_PORTS = {"base_port": 0, "draft_port": 0}
_DUMMIES = platformdirs.user_cache_path("specreason") / "dummies"
_Several = Annotated[list[int] | None, typer.Option(help="Instead of the default ones; may be repeated")]


def main(
    source: Annotated[str | None, typer.Argument(metavar="PAIR|FILE.toml", help="As for `specreason up`")] = None,
    base: Annotated[str | None, typer.Option(help=f"A model, or dummy weights: {', '.join(shapes())}")] = None,
    draft: Annotated[str | None, typer.Option(help="Likewise")] = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Folder of a tokenizer for dummy weights")] = None,
    python: Annotated[str | None, typer.Option(help="Interpreter that has vLLM; this one if not given")] = None,
    out: Annotated[Path, typer.Option(help="JSON file of the figures; those it holds are kept")] = Path("gpu.json"),
    part: Annotated[list[str] | None, typer.Option(help=f"Only this one of {', '.join(PARTS)}; repeatable")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few minutes: less of each, and base as it is")] = False,
    context: _Several = None,
    acceptance: _Several = None,
    at_once: _Several = None,
    run_tokens: Annotated[int | None, typer.Option(min=16, help="Kept tokens of a run")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Times that each run is repeated")] = None,
    calls: Annotated[int | None, typer.Option(min=1, help="Judge requests of each kind")] = None,
) -> None:
    """Measure what the file does not hold yet, and print it all."""
    given: dict[str, Any] = {
        "contexts": tuple(context or ()),
        "acceptances": tuple(acceptance or ()),
        "at_once": tuple(at_once or ()),
        "run_tokens": run_tokens,
        "rounds": rounds,
        "calls": calls,
    }
    extent = replace(QUICK if quick else FULL, **{name: value for name, value in given.items() if value})
    parts = [_part(name) for name in part or (_QUICK_PARTS if quick else PARTS)]
    named = {"base": base, "draft": draft, "python": python}
    changes: dict[str, Any] = {name: value for name, value in named.items() if value} | _FREE_PORTS
    console = Console(stderr=True, highlight=False)
    try:
        for share in extent.acceptances:
            ForcedAcceptance(seed=0).at(share / 100)
        plan = load_plan(source, changes if source else _DEFAULTS | changes)
        found = machine(plan)
        card = min((it["gib"] for it in found["cards"]), default=None)
        served = models(plan, tokenizer, _DUMMIES, card)
        results = Results(out, _about(plan, served, found, extent), today())
        decodes = [plan.decode] if plan.decode else ["ngram", "draft_model"]
        with stoppable(out):
            asyncio.run(measure(served, extent, cells(extent, parts, decodes), results, console))
    except SpecReasonError as error:
        console.print(f"error: {error}", markup=False)
        raise typer.Exit(1) from None
    show(results.document, Console(highlight=False))
    raise typer.Exit(1 if results.document["failed"] else 0)


async def measure(served: Models, extent: Extent, wanted: Sequence[Cell], results: Results, console: Console) -> None:
    """Whatever the results do not hold; servers that fail lose the figures of their kind of decoding alone."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(wanted), completed=sum(cell in results for cell in wanted))

        def tell(what: str, advance: int = 0) -> None:
            progress.update(task, description=what, advance=advance)

        for decode, of_decode in groupby(wanted, lambda cell: cell.decode):
            group = list(of_decode)
            missing = [cell for cell in group if cell not in results]
            plan = with_decode(served, None if decode == PLAIN else decode, context_of(extent, group))
            try:
                if missing:
                    await _serve(plan, served, extent, missing, results, tell)
            except EndpointError as error:
                results.failed(decode, str(error))
                console.print(f"decode {decode}: {error}", style="red", markup=False)


async def _serve(
    plan: LaunchPlan,
    served: Models,
    extent: Extent,
    todo: Sequence[Cell],
    results: Results,
    tell: Callable[..., None],
) -> None:
    async with (
        running(plan, lambda it: tell(f"{it.role} {it.seconds:.0f} s: {it.phase}")) as config,
        Pair(config) as pair,
    ):
        stage = Stage(pair, served.preset or await preset_of(pair, Settings(), builtin()), extent)
        tell("warming up")
        short = replace(stage, extent=replace(extent, run_tokens=32, rounds=1))
        await time_runs(short, Runs(todo[0].decode, "both", 50))
        for cell in todo:
            tell(key(cell))
            results.add(cell, await _measured(stage, cell, results))
            tell(key(cell), advance=1)


async def _measured(stage: Stage, cell: Cell, results: Results) -> dict[str, Any]:
    match cell:
        case Tokens():
            return await time_tokens(stage, cell)
        case JudgeCall():
            return await time_judge(stage, cell, results[Tokens(cell.decode, "base")]["token_ms"])
        case Runs():
            found = await time_runs(stage, cell)
            compared = found if cell == alone(cell) else results[alone(cell)]
            return {**found, "speedup": found["tokens_per_second"] / compared["tokens_per_second"]}


def _about(plan: LaunchPlan, served: Models, found: dict[str, Any], extent: Extent) -> dict[str, Any]:
    """What all figures of a file have in common."""
    forced = "acceptance is forced: the judge is asked and paid for, and a seeded coin decides"
    if served.preset is not None:
        forced += f"; {served.preset.source}; base's own draft model has {TOKENS_A_PASS:g} tokens a pass accepted"
        forced += ", forced as well, and n-grams find nothing to guess"
    return {
        "base": plan.base,
        "draft": plan.draft,
        "weights": "dummy" if served.dummy else "real",
        "forced": forced,
        "servers": [str(command) for command in commands(served.plan)],
        "machine": found,
        "settings": {"run_tokens": extent.run_tokens, "rounds": extent.rounds, "calls": extent.calls},
    }


def _part(name: str) -> Part:
    for part in PARTS:
        if part == name:
            return part
    raise typer.BadParameter(f"there is no part {name!r}; known are {', '.join(PARTS)}")


if __name__ == "__main__":
    typer.run(main)
