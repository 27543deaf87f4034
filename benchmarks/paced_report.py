"""The figures as tables."""

from __future__ import annotations

from typing import Any

from paced_grid import WAYS
from rich.console import Console, RenderableType
from rich.table import Table

from specreason_graph.tools.profiles import profiles

_NAMES = {"base": "base only", "look_ahead": "look-ahead"}


def show(figures: dict[str, Any], console: Console) -> None:
    """Print all of them."""
    for profile, servers in figures["profiles"].items():
        for server, rows in servers.items():
            console.print(_speed(profile, server, rows))
    console.print(_at_once(figures["concurrent"]))
    console.print(_own(figures["own_ms"]))


def _speed(profile: str, server: str, rows: dict[str, Any]) -> RenderableType:
    """Two lines an acceptance where it was run with speculative decoding, too."""
    title = f"simulated: {profiles()[profile].hardware}; {server.replace('_', '-')} server"
    table = Table("accepted", *(mode_name(way) for way in WAYS), title=title, caption="× base only (efficiency)")
    for acceptance, modes in rows.items():
        for behind in sorted({mode.partition("+")[2] for mode in modes}):
            found = [modes[f"{way}+{behind}" if behind else way] for way in WAYS]
            faster = f", {found[0]['ratio']:.2f}×" if behind else ""
            seconds = f"{found[0]['seconds']:.1f} s{faster} ({found[0]['efficiency']:.2f})"
            ratios = [f"{it['ratio']:.2f} ({it['efficiency']:.2f})" for it in found[1:]]
            name = f"{acceptance} %" if acceptance.isdigit() else acceptance
            table.add_row(f"  with {behind}" if behind else name, seconds, *ratios)
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
