"""SpecReason on a CUDA machine: what tokens, judges and whole runs cost on two real vLLM servers.

    python benchmarks/gpu.py --tokenizer DIR                 # dummy weights of 32B and 1.5B
    python benchmarks/gpu.py --tokenizer DIR --minutes 8     # what tells most first, for so long behind the starts
    python benchmarks/gpu.py --minutes 8 --dry-run           # how long each figure takes (computed), on any machine
    python benchmarks/gpu.py qwen3-32b+1.7b                  # real models, named or in a file as for `specreason up`
    python benchmarks/gpu.py --show --out gpu.json           # the tables, and a profile to predict and to pace with

Acceptance is forced, in real models too: the judge is asked and paid for, and a seeded coin takes the place of its
verdict. So speed at a given acceptance is measured, and nothing about quality. Each figure is written to the file as
soon as it is there; the same command goes on behind those that it holds. docs/vllm.md says what each figure means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import platformdirs
import typer
from gpu_budget import Budget, show_estimate
from gpu_cells import PARTS, Cell, Extent, Part, cells, in_groups, telling
from gpu_machine import machine, today
from gpu_measure import measure
from gpu_models import TOKENS_A_PASS, Models, models, shapes
from gpu_results import Results, read
from gpu_runs import ForcedAcceptance
from gpu_tables import show
from rich.console import Console

from specreason_graph.contract.errors import SpecReasonError
from specreason_graph.tools.cli.progress import stoppable
from specreason_graph.tools.launch import LaunchPlan, load_plan
from specreason_graph.tools.launch.command import commands

FULL = Extent()
FEW_MINUTES = Extent(contexts=(1024,), acceptances=(50, 80), at_once=(1, 8))
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
    minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Measure for so long, what tells most first; starts are not counted")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only compute how long each figure takes")] = False,
    show_only: Annotated[bool, typer.Option("--show", help="Only print what the file holds")] = False,
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
    if part and minutes is not None:
        raise typer.BadParameter("--minutes chooses the figures itself; leave out --part, or --minutes")
    extent = replace(FULL if minutes is None else FEW_MINUTES, **{name: it for name, it in given.items() if it})
    parts = [_part(name) for name in part or PARTS]
    named = {"base": base, "draft": draft, "python": python}
    changes: dict[str, Any] = {name: value for name, value in named.items() if value} | _FREE_PORTS
    console, tables = Console(stderr=True, highlight=False), Console(highlight=False)
    try:
        if show_only:
            show(read(out), tables)
            return
        for share in extent.acceptances:
            ForcedAcceptance(seed=0).at(share / 100)
        plan = load_plan(source, changes if source else _DEFAULTS | changes)
        ranked = _ranked(extent, plan, parts, minutes)
        if dry_run:
            show_estimate(ranked, extent, minutes, tables)
            return
        found = machine(plan)
        card = min((it["gib"] for it in found["cards"]), default=None)
        served = models(plan, tokenizer, _DUMMIES, card, extent.sequences)
        results = Results(out, _about(plan, served, found, extent), today())
        budget = Budget(ranked, extent, results.get, minutes)
        with stoppable(out) as leave:
            asyncio.run(measure(served, extent, in_groups(ranked), results, budget, console))
    except SpecReasonError as error:
        console.print(f"error: {error}", markup=False)
        raise typer.Exit(1) from None
    show(results.document, tables)
    leave()
    raise typer.Exit(1 if results.document["failed"] else 0)


def _ranked(extent: Extent, plan: LaunchPlan, parts: Sequence[Part], minutes: float | None) -> list[Cell]:
    """All that is wanted, what tells most first; n-grams are no part of few minutes, in which dummies find none."""
    if minutes is not None:
        return telling(extent, plan.decode or "draft_model")
    return cells(extent, parts, [plan.decode] if plan.decode else ["ngram", "draft_model"])


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
