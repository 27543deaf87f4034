"""`specreason calibrate`: what a pair's judge can tell, and the acceptance policy that is fitted to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.table import Table

from specreason_graph.contract.config import PairConfig
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import Catalog, builtin
from specreason_graph.judging.policy import FittedPolicy, Provenance
from specreason_graph.loop.opened import preset_of
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Judge
from specreason_graph.tools.bench.about import about
from specreason_graph.tools.bench.journal import Journal, read_journal
from specreason_graph.tools.bench.problems import Problem, check_unchanged, load_problems
from specreason_graph.tools.calibrate.calibration import Calibration, calibrate
from specreason_graph.tools.calibrate.chains import Chain, Chains
from specreason_graph.tools.calibrate.collect import collect_chains
from specreason_graph.tools.calibrate.plots import risk_against_acceptance
from specreason_graph.tools.calibrate.verdict import as_json, verdict
from specreason_graph.tools.cli.files import check_file
from specreason_graph.tools.cli.options import Concurrency, Limit, ProblemSource, Serve, Skip, some_settings, with_pair
from specreason_graph.tools.cli.progress import counting, stoppable

_ASKED = ("likelihood", "paper", "yes-no", "strict")


@some_settings("preset", "reasoning_budget", "answer_budget", "step_tokens", "temperature", "top_p", "seed")
@with_pair
def calibrate_command(
    problems: ProblemSource,
    settings: Settings,
    serve: Serve,
    skip: Skip = 0,
    limit: Limit = None,
    ask: Annotated[list[str], typer.Option(help="Judges whose evidence is gathered on every step")] = list(_ASKED),  # noqa: B006
    spots: Annotated[
        int, typer.Option(min=1, max=64, help="Least sure tokens that a likelihood judge asks about")
    ] = 16,
    fit_on: Annotated[str | None, typer.Option(help="Judge to fit on, such as likelihood+paper; else the best")] = None,
    max_loss: Annotated[float | None, typer.Option(min=0, help="Target: accuracy lost against base, in points")] = 3.0,
    max_bad_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="Target instead: share of accepted steps that may be bad")
    ] = None,
    concurrency: Concurrency = 1,
    out: Annotated[Path, typer.Option(help="Where finished problems are kept, and gone on from")] = Path(
        "runs/calibrate.jsonl"
    ),
    policy: Annotated[Path, typer.Option(help="Where the fitted policy is written")] = Path("runs/policy.json"),
    plot: Annotated[Path | None, typer.Option(help="File for the curve's plot")] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write a page of what was found out")
    ] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="Print one JSON object instead")] = False,
) -> None:
    """Find out what the judges of a pair can tell, and fit the policy that accepts by it.

    The draft proposes steps on problems that base solves; each is judged, and base finishes behind it: a step is bad
    when base no longer comes to the right answer. The policy is the probability that a step is fine.
    """
    read = (out, Path(problems))
    check_file("policy", policy, *read)
    if plot is not None:
        check_file("plot", plot, *read, policy)
    if report_file is not None:
        check_file("report", report_file, *read, policy, *([plot] if plot else []))
    todo, catalog = load_problems(problems, skip=skip, limit=limit, seed=settings.seed), builtin()
    judges = [_asking(catalog.judge(name), spots) for name in ask]
    with serve(slots=concurrency) as config, stoppable(out) as leave:
        asyncio.run(_collect(config, catalog, settings, judges, problems, todo, out, concurrency))
    leave()  # a policy that is fitted on a part could stand in the place of a better one
    made_with, records = read_journal(out)
    ids = {problem.id for problem in todo}
    chains = cast(Sequence[Chain], [record for record in records if record["problem"] in ids])
    found = calibrate(
        chains,
        judges,
        on=fit_on,
        max_loss=None if max_bad_rate is not None or max_loss is None else max_loss / 100,
        max_bad_rate=max_bad_rate,
    )
    written = _write(found, made_with, f"{problems} {skip}..{skip + len(todo) - 1}", policy)
    if plot is not None:
        risk_against_acceptance(found, plot)
    if report_file is not None:
        from specreason_graph.tools.report.write import write_calibration

        write_calibration(found, policy if written else None, report_file)
    if as_json_:
        print(json.dumps(as_json(found, str(policy) if written else None)))
    else:
        _print(found, policy if written else None)


def _asking(judge: Judge, spots: int) -> Judge:
    return judge.model_copy(update={"spots": spots}) if judge.spots else judge


async def _collect(
    config: PairConfig,
    catalog: Catalog,
    settings: Settings,
    judges: Sequence[Judge],
    problems: str,
    todo: Sequence[Problem],
    out: Path,
    concurrency: int,
) -> None:
    async with Pair(config) as pair:
        preset = await preset_of(pair, settings, catalog)
        asked = {"judges": [judge.model_dump() for judge in judges]}
        with Journal(out, {**await about(pair, preset, settings, problems), **asked}) as journal:
            records = journal.records()
            check_unchanged(todo, records)
            known = {record["problem"] for record in records}
            todo = [problem for problem in todo if problem.id not in known]
            with counting("problems", len(todo)) as done:
                chains = Chains(pair, catalog, settings, judges)
                await collect_chains(chains, todo, journal, concurrency=concurrency, done=done)


def _write(found: Calibration, made_with: dict[str, Any], problems: str, path: Path) -> bool:
    """Write the policy, unless it could tell nothing or keeps to no target."""
    if found.chosen is None or not found.can_tell:
        return False
    fine = found.steps.fine
    policy = FittedPolicy(
        name=path.stem,
        base_model=made_with["base_model"],
        draft_model=made_with["draft_model"],
        preset=made_with["preset"],
        judge=found.steps.judge,
        threshold=found.chosen["threshold"],
        intercept=found.fit.intercept,
        weights=found.fit.weights,
        provenance=Provenance(
            date=date.today().isoformat(),
            version=version("specreason-graph"),
            problems=problems,
            steps=len(fine),
            bad=len(fine) - sum(fine),
            auroc=found.fit.auroc.auroc,
            interval=found.fit.auroc.interval,
        ),
    )
    path.write_text(policy.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return True


def _print(found: Calibration, policy: Path | None) -> None:
    console = Console(highlight=False)
    table = Table("evidence", "AUROC", "95 %", title="Fine steps above bad ones (0.5 is chance)")
    rows = [*found.evidence.items(), *((f"fitted on {name}", one) for name, one in found.fits.items())]
    for name, one in sorted(rows, key=lambda row: -row[1].auroc):
        table.add_row(name, f"{one.auroc:.2f}", f"{one.interval[0]:.2f} to {one.interval[1]:.2f}")
    console.print(table)
    console.print(verdict(found), width=min(console.width, 100))
    if policy is not None:
        console.print(f"\nThe policy is in {policy}: specreason solve --policy-file {policy}")
