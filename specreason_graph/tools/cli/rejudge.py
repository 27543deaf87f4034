"""`specreason rejudge`: recorded runs under another threshold or policy, without any model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.policy import load_policy
from specreason_graph.judging.rejudge import rejudge
from specreason_graph.tools.bench.journal import read_journal
from specreason_graph.tools.bench.judged_by import ABOUT, catalog_of, judging_of
from specreason_graph.tools.cli.options import PolicyFile, some_settings


@some_settings("judge", "policy", "score_method", "spots")
def rejudge_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `specreason bench`")],
    settings: Settings,
    threshold: Annotated[list[float] | None, typer.Option(help="Acceptance threshold; several")] = None,
    policy_file: PolicyFile = None,
    arm: Annotated[str | None, typer.Option(help="Whose steps; all that were judged, if nothing is changed")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table")] = False,
) -> None:
    """Show from a recorded run what another threshold, judge or policy would have accepted.

    Without any of these options each arm is judged with the settings that it ran with, which gives the same decisions.
    """
    about, outcomes = read_journal(run)
    if not about.keys() >= ABOUT or not all(outcome.keys() >= {"arm", "steps"} for outcome in outcomes):
        raise ConfigError(f"{run} is not a run of `specreason bench`")
    own = load_policy(policy_file) if policy_file else None
    catalog = catalog_of(about).extended(policies=[own] if own else [])
    changed = {**settings.model_dump(exclude_unset=True), **({"policy": own.name} if own else {})}
    if "judges" not in about and not {"judge", "policy"} & changed.keys():
        raise ConfigError(
            f"{run}: it does not say how its judges were made, so another version recorded it; run it anew, or name "
            "one of today's with --judge"
        )
    steps: dict[str, list[Any]] = {}
    for outcome in outcomes:
        if outcome["steps"] and (arm or ("ours" if changed or threshold else outcome["arm"])) == outcome["arm"]:
            steps.setdefault(outcome["arm"], []).extend(outcome["steps"])
    if not steps:
        judged = sorted({outcome["arm"] for outcome in outcomes if outcome["steps"]})
        raise ConfigError(
            f"arm: no judged step of {arm or 'ours'} is in {run}; there are {', '.join(judged) or 'none'}"
        )
    asked: Sequence[float | None] = threshold or [None]
    try:
        rows = [
            {"arm": name, "threshold": policy.threshold, **rejudge(found, judge, policy)}
            for name, found in sorted(steps.items())
            for at in asked
            for judge, policy in [judging_of(catalog, about, name, changed, at)]
        ]
    except KeyError as missing:
        raise ConfigError(
            f"{run}: its steps have no {missing}, so another version recorded them; run it anew"
        ) from None
    if as_json:
        print(json.dumps({"run": str(run), "settings": about, "rejudged": rows}))
    else:
        Console(highlight=False).print(_table(rows))


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table("arm", "threshold", "judged", "accepted", "would accept", "newly accepted", "newly rejected")
    for row in rows:
        rates = [f"{row[key]} ({row[key] / row['judged']:.0%})" for key in ("accepted", "would_accept")]
        cells = [row["judged"], *rates, row["newly_accepted"], row["newly_rejected"]]
        table.add_row(row["arm"], f"{row['threshold']:g}", *map(str, cells))
    return table
