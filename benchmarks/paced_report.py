"""The figures as tables."""

from __future__ import annotations

from typing import Any

from paced_figures import LEVELS
from paced_grid import DECODE, RECORDED, WAYS
from paced_runs import BASE
from rich.console import Console, RenderableType
from rich.table import Table

from specreason_graph.tools.profiles import profiles

_NAMES = {"base": "base only", "look_ahead": "look-ahead"}


def show(figures: dict[str, Any], console: Console) -> None:
    """Print all of them."""
    for profile, servers in figures["profiles"].items():
        for server, rows in servers.items():
            console.print(_speed(profile, server, rows))
    console.print(_baselines(figures))
    for profile, rows in figures["sweep"].items():
        console.print(_swept(profile, rows))
    console.print(_at_once(figures["concurrent"]))
    console.print(_load(figures["load"]))
    console.print(_own(figures["own_ms"]))


def _speed(profile: str, server: str, rows: dict[str, Any]) -> RenderableType:
    """Two lines an acceptance: base without and with speculative decoding."""
    title = f"simulated: {profiles()[profile].hardware}; {server.replace('_', '-')} server"
    caption = "× base only / × base only that decodes speculatively (efficiency)"
    table = Table("accepted", *(mode_name(way) for way in WAYS), title=title, caption=caption)
    for acceptance, modes in rows.items():
        for behind in ("", DECODE):
            cells = [_cell(modes[way + behind]) if way + behind in modes else "" for way in WAYS]
            cells[0] = f"{modes[BASE + behind]['seconds']:.1f} s, {cells[0]}"
            name = f"{acceptance} %" if acceptance.isdigit() else acceptance
            table.add_row(f"  {behind}" if behind else name, *cells)
    return table


def _cell(found: dict[str, float]) -> str:
    return f"{found['ratio']:.2f} / {found['ratio_to_decode']:.2f} ({found['efficiency']:.2f})"


def _baselines(figures: dict[str, Any]) -> RenderableType:
    """What speculative decoding alone gives, and from where on both overlaps give more with it."""
    it = figures["decoder"]
    what = "PLACEHOLDER, nothing was measured" if it["about"].get("placeholder") else "measured"
    table = Table(
        *("profile", "server", "base+decode × base only, recorded"),
        *(f"both+decode {level:g} × it from" for level in LEVELS),
        title="simulated: speculative decoding inside base",
        caption=f"{it['tokens_a_pass']:.2f} tokens a pass of {it['proposed']} proposed, {it['matches']:.0%} of "
        f"{it['tokens']:,} tokens in {it['texts']} texts proposed right ({what})",
    )
    for profile, servers in figures["crossings"].items():
        for server, levels in servers.items():
            baseline = figures["profiles"][profile][server].get(RECORDED, {}).get(BASE + DECODE)
            places = ["never" if at is None else f"{at:.0f} %" for at in levels.values()]
            table.add_row(profile, server.replace("_", "-"), f"{baseline['ratio']:.2f}" if baseline else "", *places)
    return table


def _swept(profile: str, rows: dict[str, Any]) -> RenderableType:
    table = Table(
        *("accepted", "changed", *(mode_name(way) for way in WAYS)),
        title=f"by the formula of the bound: {profiles()[profile].hardware}",
        caption="× base only that decodes speculatively; base only that does × base only",
    )
    for acceptance, found in rows.items():
        name = f"{acceptance} %" if acceptance.isdigit() else acceptance
        lines = {f"{n} proposed": it for n, it in found["proposed"].items()}
        lines |= {f"judge's request of {n} tokens": it for n, it in found["judge_request"].items()}
        lines["tokens proposed right are in accepted steps"] = found["matches_follow_acceptance"]
        for changed, ratios in lines.items():
            table.add_row(name, changed, *(f"{ratios[way]:.2f}" if way in ratios else "" for way in WAYS))
            name = ""
    return table


def _at_once(found: dict[str, Any]) -> RenderableType:
    table = Table(
        *("questions", "server", "mode", "efficiency", "throughput × base only", "client CPU ms a step"),
        title="simulated: many questions at once on the same two servers",
    )
    for count, figures in found.items():
        for server, modes in figures["servers"].items():
            for mode, it in modes.items():
                table.add_row(
                    count,
                    server.replace("_", "-"),
                    mode_name(mode),
                    f"{it['efficiency']:.2f}",
                    f"{it['throughput_ratio']:.2f}",
                    f"{it['client_cpu_ms_per_step']:.2f}",
                )
    return table


def _load(found: dict[str, Any]) -> RenderableType:
    table = Table(
        *("server", "questions", "accepted", "with the gate", "always drafting"),
        title="simulated: many questions at once, × as many to base only",
        caption="wave: a load that rises and falls",
    )
    for server, counts in found.items():
        for count, cells in counts.items():
            for acceptance, it in cells.items():
                ratios = (f"{it[name]:.2f}" for name in ("auto", "always"))
                table.add_row(server.replace("_", "-"), count, f"{acceptance} %", *ratios)
    return table


def _own(own: dict[str, Any]) -> RenderableType:
    steps = list(own["graph"])
    table = Table(
        "ms a step, median (p99)", *(f"step {step}" for step in steps), title="our own time, nothing simulated"
    )
    for name, found in own["detail"]["graph"].items():
        table.add_row(f"graph: {name}", *(_spread(found[step]) for step in steps))
    over_http = own["detail"]["critical_path"]
    table.add_row("critical path, with HTTP", *(_spread(it) for it in over_http.values()))
    table.add_row("of it: a prompt's ids as JSON", *(f"{own['serialise'][step]:.2f}" for step in steps))
    for saver in ("memory", "sqlite"):
        written = own["detail"]["graph"][f"both, saver {saver}"]
        table.add_row(
            f"kB checkpointed a run, {saver}", *(_kilobytes(written[step]["checkpointed_bytes"]) for step in steps)
        )
    table.add_row("kB sent a run", *(_kilobytes(it["sent_bytes"]) for it in over_http.values()))
    return table


def mode_name(mode: str) -> str:
    """As people call it."""
    return _NAMES.get(mode, mode)


def _spread(found: dict[str, float]) -> str:
    return f"{found['median']:.2f} ({found['p99']:.2f})"


def _kilobytes(count: int) -> str:
    return f"{count / 1000:,.0f}"
