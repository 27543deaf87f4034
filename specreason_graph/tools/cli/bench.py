"""`specreason bench`: base alone, draft alone, SpecReason as in the paper, and ours, on the same problems."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from specreason_graph.contract.config import Environment, PairConfig
from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import Catalog, builtin
from specreason_graph.judging.policy import FittedPolicy
from specreason_graph.loop.opened import preset_of
from specreason_graph.models.pair import Pair
from specreason_graph.tools.bench.about import about
from specreason_graph.tools.bench.arms import Arms
from specreason_graph.tools.bench.decode import Decoder, decoding
from specreason_graph.tools.bench.journal import Journal, read_journal
from specreason_graph.tools.bench.outcome import ARMS, RANDOM, chosen_by, parts_of
from specreason_graph.tools.bench.plots import accuracy_against_latency, where_time_went
from specreason_graph.tools.bench.problems import check_unchanged, load_problems
from specreason_graph.tools.bench.schedule import Turn, missing, outcomes_of, run_turns, turns
from specreason_graph.tools.bench.table import bench_table, report_lines
from specreason_graph.tools.bench.totals import BenchReport, bench_report
from specreason_graph.tools.bench.versions import versions
from specreason_graph.tools.cli.files import check_file, check_folder
from specreason_graph.tools.cli.options import (
    Concurrency,
    Limit,
    PolicyFile,
    ProblemSource,
    Serve,
    Skip,
    with_graded_settings,
    with_pair,
    with_policy,
)
from specreason_graph.tools.cli.progress import counting, stoppable


@with_graded_settings
@with_pair
def bench(
    problems: ProblemSource,
    settings: Settings,
    serve: Serve,
    arm: Annotated[
        list[str],
        typer.Option(
            help="Which arms run; another judge or policy of ours, +decode and a threshold may follow, as in "
            "ours:yes-no+decode@0.8"
        ),
    ] = list(ARMS),  # noqa: B006
    skip: Skip = 0,
    limit: Limit = None,
    samples: Annotated[int, typer.Option(min=1, help="Samples a problem; more than one needs a temperature")] = 1,
    concurrency: Concurrency = 1,
    policy_file: PolicyFile = None,
    decode_url: Annotated[
        str | None,
        typer.Option(help="Another server of the base model that decodes speculatively, for arms such as base+decode"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where finished outcomes are kept, and gone on from")] = Path(
        "runs/bench.jsonl"
    ),
    plots: Annotated[Path | None, typer.Option(help="Folder to write the plots to")] = None,
    report_file: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Write a page of it, and one of each problem")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table")] = False,
) -> None:
    """Measure a pair: accuracy, wall-clock, acceptance and tokens of four ways to answer the same problems.

    base and draft answer alone; paper is sequential SpecReason with the paper's judge (greedy score, threshold 7);
    ours runs with the settings below; the arm random@0.5 accepts half of the steps by chance, as a control. base+decode
    and ours+decode are the same on a server of base that decodes speculatively. Drafts are made at any load, so that
    what is accepted does not depend on the concurrency; --gate auto measures what a server's users get.
    """
    if plots is not None:
        check_folder("plots", plots)
    if report_file is not None:
        check_file("report", report_file, out, Path(problems), *([policy_file] if policy_file else []))
    decode_url = _decode_url(decode_url, arm)
    todo = turns(load_problems(problems, skip=skip, limit=limit, seed=settings.seed), arm, samples)
    settings, policies = with_policy(settings, policy_file)
    if "gate" not in settings.model_fields_set:
        settings = settings.overridden(by={"gate": "always"})
    catalog = builtin().extended(policies=policies)
    with serve(slots=concurrency) as config, stoppable(out) as leave:
        asyncio.run(_run(config, catalog, settings, problems, todo, out, concurrency, decode_url))
    settings_of_run, records = read_journal(out)
    outcomes = outcomes_of(records, todo)
    report = bench_report(outcomes, settings_of_run, versions())
    if plots is not None:
        _plot(report, plots)
    if report_file is not None:
        from specreason_graph.tools.report.write import write_bench

        write_bench(report, outcomes, settings_of_run, report_file)
    if as_json:
        print(json.dumps(report))
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)  # a pipe has no width of its own
        console.print(bench_table(report))
        for line in report_lines(report):
            console.print(line)
    leave()


async def _run(
    config: PairConfig,
    catalog: Catalog,
    settings: Settings,
    problems: str,
    todo: Sequence[Turn],
    out: Path,
    concurrency: int,
    decode_url: str | None,
) -> None:
    async with Pair(config) as pair, _decoder(pair, decode_url, todo, concurrency) as decoder:
        preset = await preset_of(pair, settings, catalog)
        base, draft = (card.name for card in (await pair.cards()).values())
        if preset.sampling(settings, seed=0).temperature == 0 and any(sample for _, _, sample in todo):
            raise ConfigError("samples: at temperature 0 all samples are alike; give a --temperature, or one sample")
        judge, policy = catalog.judging(settings, preset, base, draft)  # what can't work is said before anything runs
        judges = {judge.name: judge}
        for arm in dict.fromkeys(arm for _, arm, _ in todo if parts_of(arm).method not in ("base", "draft", RANDOM)):
            judge_of_arm, _ = catalog.judging(settings.overridden(by=chosen_by(arm)), preset, base, draft)
            judges[judge_of_arm.name] = judge_of_arm
        judging = {
            "concurrency": concurrency,
            "judge": judge.name,
            "judges": [judges[name].model_dump(mode="json") for name in sorted(judges)],
            "threshold": policy.threshold,
            "policy": policy.model_dump() if isinstance(policy, FittedPolicy) else None,
        }
        with Journal(out, {**await about(pair, preset, settings, problems), **judging}) as journal:
            records = journal.records()
            check_unchanged((problem for problem, _, _ in todo), records)
            todo, arms = missing(todo, records), Arms(pair, preset, catalog, settings, decoder)
            with counting("problems x arms", len(todo)) as done:
                await run_turns(arms, todo, journal, concurrency=concurrency, done=done)


def _decoder(
    pair: Pair, url: str | None, todo: Sequence[Turn], concurrency: int
) -> AbstractAsyncContextManager[Decoder | None]:
    if url is None:
        return nullcontext()
    arms = [arm for arm in dict.fromkeys(arm for _, arm, _ in todo) if parts_of(arm).decodes]
    return decoding(pair, url, arms, concurrency)


def _decode_url(given: str | None, arms: Sequence[str]) -> str | None:
    """Where base decodes speculatively; None where no arm asks for it."""
    decoding_arms = [arm for arm in arms if parts_of(arm).decodes]
    if not decoding_arms:
        return None
    url = given or Environment().decode_url
    if url is None:
        raise ConfigError(
            f"arm: {decoding_arms[0]!r} needs --decode-url (or SPECREASON_DECODE_URL): another server of the base "
            "model that decodes speculatively, such as `specreason up --decode draft_model` starts"
        )
    return url


def _plot(report: BenchReport, folder: Path) -> None:
    accuracy_against_latency(report, folder / "accuracy.png")
    where_time_went(report, folder / "time.png")
