"""`specreason predict`: what SpecReason and speculative decoding would gain on a pair, by a formula and its timings."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from specreason_graph.contract.errors import ConfigError, checked
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import builtin
from specreason_graph.tools.cli.forecast import OVERLAPS, as_json, show
from specreason_graph.tools.cli.options import Serve, finite, some_settings, with_pair
from specreason_graph.tools.cli.problems import PROBLEMS
from specreason_graph.tools.decoding import PROPOSED, Decoding
from specreason_graph.tools.doctor import Diagnosis, diagnose
from specreason_graph.tools.forecast import ACCEPTANCE, TOKENS, Speculation, forecast
from specreason_graph.tools.predict import MODES, Mode, Steps, Timings, least_acceptance, speedup
from specreason_graph.tools.profiles import profiles

_NAMES = {**OVERLAPS, "both": "both"}  # of columns
_ACCEPTANCES = (10, 20, 40, 60, 80, 95)


class _Known(NamedTuple):
    """A pair, as far as the formula needs it."""

    timings: Timings
    source: str
    speculation: Speculation | str
    overlap: Mode


class _Gains(NamedTuple):
    """Times as fast as base alone, by overlap and percent accepted."""

    speedup: Mapping[Mode, Mapping[int, float]]
    pays_from: Mapping[Mode, float | None]
    """Part of the drafts that has to be accepted to be faster than base, decoding as it does; None: never."""


@some_settings("judge", "preset", "step_tokens")
@with_pair
def predict(
    settings: Settings,
    serve: Serve,
    profile: Annotated[
        str | None, typer.Option(help=f"Pace of known hardware instead of your servers': {', '.join(profiles())}")
    ] = None,
    tokens: Annotated[float, typer.Option(min=1, callback=finite, help="Tokens of a step; in public runs 23")] = TOKENS,
    acceptance: Annotated[
        list[int] | None,
        typer.Option(min=0, max=100, help="Percent of drafts accepted; may be repeated, and advice is for the first"),
    ] = None,
    decode_tokens: Annotated[
        float | None,
        typer.Option(
            min=1, callback=finite, help="Tokens that a pass of base gives with speculative decoding; else as measured"
        ),
    ] = None,
    proposed: Annotated[
        int | None, typer.Option(min=1, help=f"Tokens proposed in such a pass; {PROPOSED} if not given")
    ] = None,
    as_object: Annotated[bool, typer.Option("--json", help="Print one JSON object instead")] = False,
) -> None:
    """Say how much faster than base alone the loop would be, from a pair's timings: a formula, not a measurement."""
    given = _given(decode_tokens, proposed)
    known = _timed(settings, serve) if profile is None else _of_profile(profile)
    if given is not None:
        known = known._replace(speculation=_as_given(known, given))
    chosen, spec = acceptance or list(_ACCEPTANCES), known.speculation
    plain, decoded = _gains(known.timings, known.timings, chosen, tokens), None
    if isinstance(spec, Speculation):
        decoded = _gains(known.timings, spec.inside(known.timings), chosen, tokens)
    found = forecast(
        known.timings,
        spec,
        acceptance=acceptance[0] if acceptance else ACCEPTANCE,
        tokens=tokens,
        overlap=known.overlap,
    )
    if as_object:
        told = {"timings": known.timings.model_dump(), "source": known.source, **plain._asdict()}
        told |= as_json(found, spec)
        if decoded is not None:
            told["decode"] |= decoded._asdict()
        print(json.dumps(told))
        return
    console = Console(highlight=False)
    console.print(f"Speed-up over base alone by formula ({known.source}; steps of {tokens:g} tokens):", markup=False)
    console.print(_table(plain, chosen))
    if decoded is not None:
        alone = f"{found.ratios['base+decode']:.2f}x"
        console.print(f"With speculative decoding in base; the last column is against such a base alone, {alone}:")
        console.print(_table(decoded, chosen))
    show(console, found, tokens, spec)
    console.print(
        "Accuracy is another matter: at what acceptance it holds on your pair, `specreason calibrate` measures."
    )


def _given(decode_tokens: float | None, proposed: int | None) -> Decoding | None:
    if decode_tokens is not None:
        return checked(Decoding, {"tokens_a_pass": decode_tokens, "proposed": proposed or PROPOSED})
    if proposed is not None:
        raise ConfigError("proposed: it goes with --decode-tokens, the tokens that such a pass gives")
    return None


def _timed(settings: Settings, serve: Serve) -> _Known:
    with serve() as config, Console(stderr=True).status("") as status:
        found = asyncio.run(diagnose(config, settings, builtin(), PROBLEMS[0][0], status.update))
    source = "measured on these servers, one call at a time"
    return _Known(_measured(found), source, found.speculation, found.overlap)


def _measured(diagnosis: Diagnosis) -> Timings:
    if diagnosis.timings is None:
        wrong = next((check for check in diagnosis.checks if check.state == "wrong"), None)
        why = f"{wrong.role or 'pair'}: {wrong.name}: {wrong.found}" if wrong else "a model wrote too little to time"
        raise ConfigError(f"the servers can't be timed ({why}); see `specreason doctor`, or name a --profile")
    return diagnosis.timings


def _of_profile(name: str) -> _Known:
    if name not in profiles():
        raise ConfigError(f"profile: there is no {name!r}; known are {', '.join(profiles())}")
    profile = profiles()[name]
    return _Known(profile.timings, profile.hardware, profile.speculation, "both")


def _as_given(known: _Known, decoding: Decoding) -> Speculation:
    """The tokens a pass that were asked for; where the draft can't propose, n-grams do, at no cost."""
    source = "as given"
    if isinstance(known.speculation, Speculation):
        return known.speculation._replace(decoding=decoding, source=source)
    return Speculation(decoding, 0.0, "`--decode ngram`", source)


def _gains(timings: Timings, decoded: Timings, acceptances: list[int], tokens: float) -> _Gains:
    faster = timings.base_token / decoded.base_token

    def at(percent: int, mode: Mode) -> float:
        return faster * speedup(decoded, Steps(acceptance=percent / 100, drafted=tokens, written=tokens), mode)

    return _Gains(
        {mode: {percent: at(percent, mode) for percent in acceptances} for mode in MODES},
        {mode: least_acceptance(decoded, mode, tokens=tokens) for mode in MODES},
    )


def _table(gains: _Gains, acceptances: list[int]) -> Table:
    table = Table("acceptance", *(f"{at} %" for at in acceptances), "faster from")
    for mode in MODES:
        pays = gains.pays_from[mode]
        cells = (f"{gains.speedup[mode][at]:.2f}x" for at in acceptances)
        table.add_row(_NAMES[mode], *cells, "never" if pays is None else f"{pays:.0%}")
    return table
