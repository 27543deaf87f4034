"""`specreason predict`: what SpecReason would gain on a pair, by a formula and the pair's timings."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import builtin
from specreason_graph.tools.cli.options import Serve, some_settings, with_pair
from specreason_graph.tools.cli.problems import PROBLEMS
from specreason_graph.tools.doctor import Diagnosis, diagnose
from specreason_graph.tools.predict import MODES, Steps, Timings, least_acceptance, speedup
from specreason_graph.tools.profiles import profiles

_ACCEPTANCES = (10, 20, 40, 60, 80, 95)
_NAMES = {"sequential": "sequential", "look_ahead": "with look-ahead", "hedge": "with hedge", "both": "with both"}


@some_settings("judge", "preset", "step_tokens")
@with_pair
def predict(
    settings: Settings,
    serve: Serve,
    profile: Annotated[
        str | None, typer.Option(help=f"Pace of known hardware instead of your servers': {', '.join(profiles())}")
    ] = None,
    tokens: Annotated[float, typer.Option(min=1, help="Tokens of a step; in public runs 23")] = 23,
    acceptance: Annotated[
        list[int] | None, typer.Option(min=0, max=100, help="Percent of drafts accepted; may be repeated")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead")] = False,
) -> None:
    """Say how much faster than base alone the loop would be, from a pair's timings: a formula, not a measurement."""
    if profile is None:
        with serve() as config, Console(stderr=True).status("") as status:
            diagnosis = asyncio.run(diagnose(config, settings, builtin(), PROBLEMS[0][0], status.update))
        timings, source = _measured(diagnosis), "measured on these servers, one call at a time"
    elif profile in profiles():
        timings, source = profiles()[profile].timings, profiles()[profile].hardware
    else:
        raise ConfigError(f"profile: there is no {profile!r}; known are {', '.join(profiles())}")
    chosen = acceptance or list(_ACCEPTANCES)
    gains = {
        mode: {at: speedup(timings, Steps(acceptance=at / 100, drafted=tokens, written=tokens), mode) for at in chosen}
        for mode in MODES
    }
    least = {mode: least_acceptance(timings, mode, tokens=tokens) for mode in MODES}
    if as_json:
        print(json.dumps({"timings": timings.model_dump(), "source": source, "speedup": gains, "pays_from": least}))
        return
    table = Table("acceptance", *(f"{at} %" for at in chosen), "faster from")
    for mode in MODES:
        pays = least[mode]
        table.add_row(
            _NAMES[mode], *(f"{gains[mode][at]:.2f}x" for at in chosen), "never" if pays is None else f"{pays:.0%}"
        )
    console = Console(highlight=False)
    console.print(f"Speed-up over base alone by formula ({source}; steps of {tokens:g} tokens):", markup=False)
    console.print(table)
    console.print(
        "Accuracy is another matter: at what acceptance it holds on your pair, `specreason calibrate` measures."
    )


def _measured(diagnosis: Diagnosis) -> Timings:
    missing = [role for role in ("base", "draft") if role not in diagnosis.rates]
    if missing or diagnosis.judge is None:
        wrong = next((check for check in diagnosis.checks if check.state == "wrong"), None)
        why = f"{wrong.role or 'pair'}: {wrong.name}: {wrong.found}" if wrong else "a model wrote too little to time"
        raise ConfigError(f"the servers can't be timed ({why}); see `specreason doctor`, or name a --profile")
    return Timings(
        base_token=1 / diagnosis.rates["base"],
        base_first=diagnosis.latency["base"],
        draft_token=1 / diagnosis.rates["draft"],
        draft_first=diagnosis.latency["draft"],
        judge=diagnosis.judge["seconds"],
    )
