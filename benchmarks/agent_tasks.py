"""An agent with tools on four ways to reason: 40 small tasks, through LangChain's `create_agent`.

    python benchmarks/agent_tasks.py [--arm ours] [--limit 10] [--out runs/agents.jsonl] [--json]

It runs on the servers that the options or the environment name, else on the embedded pair, greedily, and goes on from
the journal `--out` when it was stopped. All arms run the same graph with the same tools and budgets:

- `base`: base writes every step. `draft`: the draft model in base's place, likewise.
- `paper`: SpecReason with the paper's judge (the digit that base writes, at 7), one call after the other.
- `ours`: the preset's judge and policy.

Calls are valid where the tool is known and its schema allows the arguments; right where tool and arguments are those
that the task expects. A task is solved when the last reply tells the answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from agent_scores import SHARES, Record, Task, arm_report, check_arms, load_tasks, scored
from langchain.agents import create_agent
from langchain.agents.middleware import ModelCallLimitMiddleware
from rich.console import Console
from rich.table import Table

from specreason_graph import ChatSpecReason, Pair, PairConfig, Settings
from specreason_graph.contract.settings import MAX_STEPS
from specreason_graph.judging.catalog import builtin
from specreason_graph.loop.opened import preset_of
from specreason_graph.tools.bench.about import about
from specreason_graph.tools.bench.journal import Journal, read_journal
from specreason_graph.tools.bench.outcome import ARMS, chosen_by
from specreason_graph.tools.bench.versions import versions
from specreason_graph.tools.cli.options import Limit, Serve, with_pair
from specreason_graph.tools.cli.progress import counting, stoppable

_MOST_TURNS = 4
_COLUMNS = {
    "valid": "calls\nvalid",
    "first_tool": "first call:\nright tool",
    "first": "and right\narguments",
    "all": "all calls\nright",
    "solved": "task\nsolved",
}


@with_pair
def main(
    serve: Serve,
    arm: Annotated[list[str], typer.Option(help="Which arms run")] = list(ARMS),  # noqa: B006
    limit: Limit = None,
    reasoning_budget: Annotated[int, typer.Option(min=1, help="Tokens of reasoning in one reply")] = 96,
    answer_budget: Annotated[int, typer.Option(min=1, help="Tokens of an answer, and of calls")] = 96,
    out: Annotated[Path, typer.Option(help="Journal: where records are kept, and gone on from")] = Path(
        "runs/agents.jsonl"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table")] = False,
) -> None:
    """Measure, and print a table."""
    check_arms(arm, ARMS)
    tasks = load_tasks(limit)
    settings = Settings(
        reasoning_budget=reasoning_budget,
        step_tokens=reasoning_budget,
        answer_budget=answer_budget,
        temperature=0,
        gate="always",
    )
    with serve() as config, stoppable(out) as leave:
        asyncio.run(measured(config, settings, tasks, arm, out))
    about_run, records = read_journal(out)
    wanted: list[Any] = [it for it in records if it["arm"] in arm and it["task"] in {task.id for task in tasks}]
    of_arm = {name: [it for it in wanted if it["arm"] == name] for name in arm}
    report = {name: arm_report(found) for name, found in of_arm.items() if found}
    if as_json:
        print(json.dumps({"arms": report, "records": wanted, "about": about_run, "versions": versions()}))
    else:  # a pipe has no width
        Console(highlight=False, width=None if sys.stdout.isatty() else 180).print(_table(report))
    leave()


async def measured(
    config: PairConfig, settings: Settings, tasks: Sequence[Task], arms: Sequence[str], out: Path
) -> None:
    """Have every arm do every task that the journal does not have yet."""
    async with AsyncExitStack() as stack:
        pair = await stack.enter_async_context(Pair(config))
        preset = await preset_of(pair, settings, builtin())
        settings = settings.overridden(by={"preset": preset.name})  # a draft in base's place has another one's name
        models = await _models(stack, config, settings, pair)
        journal = stack.enter_context(Journal(out, await about(pair, preset, settings, "agent_tasks.toml")))
        known = {(record["task"], record["arm"]) for record in journal.records()}
        taking_turns = [  # so that what drifts on a machine, and who fills the cache, hits all arms alike
            (task, arm) for at, task in enumerate(tasks) for arm in [*arms[at % len(arms) :], *arms[: at % len(arms)]]
        ]
        todo = [(task, arm) for task, arm in taking_turns if (task.id, arm) not in known]
        with counting("tasks x arms", len(todo)) as done:
            for task, arm in todo:
                journal.append(await _solved(task, arm, models[arm]))
                done()


async def _models(
    stack: AsyncExitStack, config: PairConfig, settings: Settings, pair: Pair
) -> dict[str, ChatSpecReason]:
    drafts = await stack.enter_async_context(Pair(config.model_copy(update={"base": config.draft})))
    alone = settings.overridden(by={"first_steps": MAX_STEPS, "hedge": False, "look_ahead": False})
    return {
        "base": ChatSpecReason(pair=pair, settings=alone),
        "draft": ChatSpecReason(pair=drafts, settings=alone),
        "paper": ChatSpecReason(pair=pair, settings=settings.overridden(by=chosen_by("paper"))),
        "ours": ChatSpecReason(pair=pair, settings=settings),
    }


async def _solved(task: Task, arm: str, model: ChatSpecReason) -> Record:
    limit = ModelCallLimitMiddleware[Any, Any](run_limit=_MOST_TURNS)
    agent: Any = create_agent(model, list(task.tools), middleware=[limit])
    began = time.perf_counter()
    state = await agent.ainvoke({"messages": [("user", task.question)]})
    return scored(task, arm, state["messages"], time.perf_counter() - began)


def _table(report: dict[str, Any]) -> Table:
    table = Table("arm", *_COLUMNS.values(), "turns", "s", "accepted", "drafted\n(discarded)", "by base")
    for arm, it in report.items():
        tokens = it["tokens"]
        table.add_row(
            arm,
            *(_share(*it["shares"][name]) for name in SHARES),
            f"{it['turns']:.1f}",
            f"{it['seconds']:.1f}",
            "-" if it["accepted"] is None else f"{it['accepted']:.0%}",
            f"{tokens['draft'][1]:,} ({tokens['draft'][2]:,})",
            f"{tokens['base'][1]:,}",
        )
    return table


def _share(right: float, of: float, low: float, high: float) -> str:
    return f"{right:.0f}/{of:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


if __name__ == "__main__":
    typer.run(main)
