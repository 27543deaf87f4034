"""Measures cells on servers that are started once: the draft for all of them, base once for each kind of decoding.

There is no way round base's restart. vLLM (read: 0.32) decides on speculative decoding when it starts: no field of a
request turns it off, `num_speculative_tokens_per_batch_size` goes by the size of the batch and not by the request, and
a request longer than the draft model's context still has its passes padded with guesses. A second base beside the
first would have to start as well, and two of 32B in bf16 are 122 GiB.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from gpu_budget import Budget
from gpu_calls import Stage, time_judge, time_tokens
from gpu_cells import PLAIN, Cell, Extent, JudgeCall, Runs, Tokens, alone, context_of
from gpu_models import Models, with_decode
from gpu_results import Results, key
from gpu_runs import time_runs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from specreason_graph import Pair, Settings
from specreason_graph.contract.errors import EndpointError
from specreason_graph.contract.settings import Role
from specreason_graph.judging.catalog import builtin
from specreason_graph.loop.opened import preset_of
from specreason_graph.tools.launch import LaunchPlan, prepared, serving
from specreason_graph.tools.launch import Progress as Starting

_Tell = Callable[[str, int], None]


async def measure(
    served: Models, extent: Extent, wanted: Sequence[Cell], results: Results, budget: Budget, console: Console
) -> None:
    """Whatever the results do not hold and the budget has time for, in this order.

    A base that fails loses the figures of its kind of decoding alone; without its draft nothing is measured.
    """
    missing = [cell for cell in wanted if cell not in results]
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(wanted), completed=len(wanted) - len(missing))

        def tell(what: str, advance: int = 0) -> None:
            progress.update(task, description=what, advance=advance)

        if not missing or _leave_out(budget.nothing_fits(missing, ()), results):
            return
        served = replace(served, plan=prepared(served.plan))  # one key and one port each, for all starts
        plan = with_decode(served, None, context_of(extent, missing))
        try:
            async with serving(plan, ["draft"], _starting("draft", results, tell, console)):
                for decode, of_decode in groupby(missing, lambda cell: cell.decode):
                    group = list(of_decode)
                    plan = with_decode(served, None if decode == PLAIN else decode, context_of(extent, group))
                    later = missing[missing.index(group[-1]) + 1 :]
                    try:
                        await _group(plan, served, extent, group, later, results, budget, tell, console)
                    except EndpointError as error:
                        _failed(f"decode {decode}", error, results, console)
        except EndpointError as error:
            _failed("the draft's server", error, results, console)


async def _group(
    plan: LaunchPlan,
    served: Models,
    extent: Extent,
    todo: Sequence[Cell],
    later: Sequence[Cell],
    results: Results,
    budget: Budget,
    tell: _Tell,
    console: Console,
) -> None:
    """The cells of one kind of decoding, unless there is time for none of them."""
    decode = todo[0].decode
    ahead = [*todo, *later]
    if _leave_out(budget.nothing_fits(todo, later), results):
        return
    async with (
        serving(plan, ["base"], _starting("base", results, tell, console, decode)) as config,
        Pair(config) as pair,
    ):
        stage = Stage(pair, served.preset or await preset_of(pair, Settings(), builtin()), extent)
        tell("warming up", 0)
        began = time.perf_counter()
        short = replace(stage, extent=replace(extent, run_tokens=32, rounds=1))
        await time_runs(short, Runs(decode, "both", 50))
        budget.spend(time.perf_counter() - began)
        for at, cell in enumerate(todo):
            if (why := budget.why_not(cell, ahead[at + 1 :])) is not None:
                results.left_out(cell, why)
                continue
            tell(key(cell), 0)
            began = time.perf_counter()
            found = await _measured(stage, cell, results)
            took = time.perf_counter() - began
            budget.measured(cell, took)
            results.add(cell, {**found, "took": took})
            tell(key(cell), 1)


def _leave_out(reasons: Mapping[Cell, str], results: Results) -> bool:
    """Keep why these are left out; whether there are any."""
    for cell, why in reasons.items():
        results.left_out(cell, why)
    return bool(reasons)


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


def _starting(
    role: Role, results: Results, tell: _Tell, console: Console, decode: str = PLAIN
) -> Callable[[Starting], None]:
    server = role if decode == PLAIN else f"{role}, decode {decode}"

    def on_progress(it: Starting) -> None:
        tell(f"{server} {it.seconds:.0f} s: {it.phase}", 0)
        if it.phase == "up":
            results.started(server, it.seconds)
            console.print(f"{server} was up after {it.seconds:.0f} s", markup=False)

    return on_progress


def _failed(what: str, error: EndpointError, results: Results, console: Console) -> None:
    results.failed(what, str(error))
    console.print(f"{what}: {error}", style="red", markup=False)
