"""`specreason doctor`: what is right and wrong with a pair, as a table."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import builtin
from specreason_graph.tools.cli.forecast import as_json as forecast_as_json
from specreason_graph.tools.cli.forecast import show
from specreason_graph.tools.cli.options import PolicyFile, Serve, with_pair, with_policy, with_settings
from specreason_graph.tools.cli.problems import PROBLEMS
from specreason_graph.tools.cli.texts import given
from specreason_graph.tools.doctor import Check, Diagnosis, JudgeCall, diagnose
from specreason_graph.tools.doctor.check import State
from specreason_graph.tools.forecast import TOKENS, Forecast, forecast

_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warn": ("!", "yellow"),
    "wrong": ("✗", "red"),
    "skipped": ("·", "dim"),
}
_NOTHING = dict.fromkeys(("modes", "advice", "acceptance", "overlap", "decode"))  # where there are no timings
_BAR = 30  # characters of probability 1


@with_settings
@with_pair
def doctor(
    settings: Settings,
    serve: Serve,
    question: Annotated[str, typer.Argument(help="What the real step is about; a word problem if not given")] = (
        PROBLEMS[0][0]
    ),
    policy_file: PolicyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table")] = False,
) -> None:
    """Say what is right and wrong with a pair and how to fix it, then draft and judge one real step."""
    question = given(question)
    settings, policies = with_policy(settings, policy_file)
    catalog = builtin().extended(policies=policies)
    with serve() as config, Console(stderr=True).status("") as status:
        diagnosis = asyncio.run(diagnose(config, settings, catalog, question, status.update))
    if as_json:
        print(json.dumps(_as_json(diagnosis)))
    else:
        _print(Console(highlight=False), diagnosis)
    raise typer.Exit(0 if diagnosis.ok else 1)


def _as_json(diagnosis: Diagnosis) -> dict[str, object]:
    checks = [check._asdict() for check in diagnosis.checks]
    found = {"checks": checks, "step": diagnosis.step, "judge": diagnosis.judge, "ok": diagnosis.ok}
    expected = _expected(diagnosis)
    return found | (_NOTHING if expected is None else forecast_as_json(expected, diagnosis.speculation))


def _expected(diagnosis: Diagnosis) -> Forecast | None:
    if diagnosis.timings is None:
        return None
    return forecast(diagnosis.timings, diagnosis.speculation, overlap=diagnosis.overlap)


def _print(console: Console, diagnosis: Diagnosis) -> None:
    for role in ("base", "draft", None):
        console.rule(role or "pair", align="left", style="dim")
        console.print(_table([check for check in diagnosis.checks if check.role == role]))
    if diagnosis.step is not None:
        console.rule("one real step", align="left", style="dim")
        console.print(diagnosis.step["text"].strip(), markup=False)
    if diagnosis.judge is not None:
        console.rule(f"what base makes of it (judge {diagnosis.judge['judge']})", align="left", style="dim")
        console.print(*_evidence(diagnosis.judge), sep="\n")
    count = {state: sum(check.state == state for check in diagnosis.checks) for state in _MARKS}
    console.print(f"\n{count['ok']} right, {count['wrong']} wrong, {count['warn']} to look at", style="bold")
    if (expected := _expected(diagnosis)) is not None:
        console.rule("what is faster here", align="left", style="dim")
        show(console, expected, TOKENS, diagnosis.speculation)


def _table(checks: Sequence[Check]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for column in ({"no_wrap": True}, {"no_wrap": True, "width": 13}, {"overflow": "fold"}):
        table.add_column(**column)
    for check in checks:
        mark, color = _MARKS[check.state]
        found = Text(check.found, style="dim" if check.state == "skipped" else "")
        if check.fix is not None:
            found.append(f"\nfix: {check.fix}", style=color)
        table.add_row(Text(mark, style=color), Text(check.name), found)
    return table


def _evidence(call: JudgeCall) -> list[Table]:
    """A bar for each label, and a line for each token that base was asked about."""
    shown = []
    if call["label_probs"] is not None:
        bars = Table.grid(padding=(0, 2, 0, 0))
        for label in call["labels"]:
            share = call["label_probs"].get(label, 0.0)
            bars.add_row(Text(label.strip()), f"{share:>6.1%}", Bar(1.0, 0.0, share, width=_BAR))
        shown.append(bars)
    if call["spots"] is not None:
        spots = Table("token", box=None, padding=(0, 2, 0, 0), header_style="dim")
        for role in ("draft", "base"):
            spots.add_column(f"log-prob. by {role}", justify="right")
        for spot in call["spots"]:
            own = "" if spot["draft_logprob"] is None else f"{spot['draft_logprob']:.2f}"
            base = f"{'≤ ' if spot['at_most'] else ''}{spot['base_logprob']:.2f}"
            spots.add_row(Text(repr(spot["text"]) if spot["text"] else "(the end)"), own, base)
        shown.append(spots)
    return shown
