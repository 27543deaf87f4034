"""A GPU's figures as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gpu_cells import BASE, FORMS, MODES, PLAIN
from gpu_profile import block, flaw, profile
from rich.console import Console
from rich.table import Table

_Records = list[dict[str, Any]]
_NAME = "my-hardware"


def show(document: Mapping[str, Any], console: Console) -> None:
    """Print all that a file of results holds."""
    about = document["about"]
    cards = ", ".join(f"{card['name']} ({card['gib']} GiB)" for card in about["machine"]["cards"]) or "no card: a CPU"
    console.print(f"{cards}, vLLM {about['machine']['vllm']}, {document['date']}", style="bold", markup=False)
    console.print(f"base {about['base']}, draft {about['draft']}: {about['weights']} weights", markup=False)
    console.print(about["forced"], markup=False)
    cells = document["cells"]
    of = {kind: [it for name, it in cells.items() if name.startswith(kind)] for kind in ("Tokens", "Judge", "Runs")}
    for table in (_tokens(of["Tokens"]), _judge(of["Judge"]), _runs(of["Runs"]), *_others(of["Runs"])):
        if table.row_count:
            console.print(table)
    for server, seconds in document["starts"].items():
        console.print(f"{server} was up after {seconds:.0f} s", markup=False)
    for name, why in document["left_out"].items():
        console.print(f"left out, {name}: {why}", markup=False)
    for what, why in document["failed"].items():
        console.print(f"missing, {what}: {why}", style="red", markup=False)
    if (figures := profile(document)) is None:
        return
    console.print("\nThese figures as a profile, for specreason_graph/tools/profiles.toml:", style="bold")
    if (wrong := flaw(figures)) is not None:
        console.print(f"it can't be used: {wrong}", style="red", markup=False)
    console.print(block(_NAME, figures), markup=False, soft_wrap=True)


def _tokens(records: _Records) -> Table:
    table = _table("A token", "model", "context", "first token, warm prefix", "ms a token", "tokens/s")
    for it in records:
        name = it["role"] if it["decode"] == PLAIN else f"{it['role']}, decode {it['decode']}"
        first, token = f"{it['first_token_ms']:.1f} ms", it["token_ms"]
        table.add_row(name, str(it["context"]), first, f"{token:.2f}", f"{1000 / token:.1f}")
    return table


def _judge(records: _Records) -> Table:
    table = _table("A judge's call", "context", *(f"{form}: ms (in base's tokens)" for form in FORMS))
    for context in _distinct(records, "context"):
        found = {it["form"]: f"{it['ms']:.1f} ({it['base_tokens']:.1f})" for it in records if it["context"] == context}
        table.add_row(str(context), *(found.get(form, "") for form in FORMS))
    return table


def _runs(records: _Records) -> Table:
    """One run at a time, without speculative decoding."""
    mine = [it for it in records if it["decode"] == PLAIN and it["at_once"] == 1]
    base = "".join(f"; base alone: {it['tokens_per_second']:.1f}" for it in mine if it["mode"] == BASE)
    modes = [mode for mode in MODES if any(it["mode"] == mode for it in mine)]
    table = _table(f"A run: kept tokens/s (x base alone){base}", "acceptance forced, was", *modes)
    for share in _distinct(mine, "acceptance"):
        row = {it["mode"]: it for it in mine if it["acceptance"] == share}
        accepted, judged = (sum(it[name] for it in row.values()) for name in ("accepted", "judged"))
        was = f", {accepted / judged:.0%}" if judged else ""
        table.add_row(f"{share} %{was}", *(_speed(row.get(mode)) for mode in modes))
    return table


def _others(records: _Records) -> Iterable[Table]:
    """Where base alone changes with the row: several runs at once, and speculative decoding inside base."""
    plain = [it for it in records if it["decode"] == PLAIN]
    single = [it for it in records if it["at_once"] == 1]
    for title, column, mine in (("Runs at once", "at_once", plain), ("Decoding inside base", "decode", single)):
        if len(values := _distinct(mine, column, of=BASE)) < 2:
            continue
        shares = [it["acceptance"] for it in mine if it[column] != values[0] and it["mode"] != BASE]
        modes = [mode for mode in MODES if any(it["mode"] == mode for it in mine if it[column] != values[0])]
        what = f"{title}: kept tokens/s (x base alone with the same)"
        table = _table(what, column.replace("_", " "), "acceptance forced", BASE, *modes)
        for value in values:
            alone = _one(mine, BASE, None, column, value)
            for share in dict.fromkeys(shares) or [None]:
                told = "" if share is None else f"{share} %"
                speeds = (_speed(_one(mine, mode, share, column, value)) for mode in modes)
                table.add_row(str(value), told, _speed(alone), *speeds)
        yield table


def _one(records: _Records, mode: str, share: int | None, column: str, value: object) -> dict[str, Any] | None:
    of = ((it["mode"], it["acceptance"], it[column]) for it in records)
    return next((it for it, which in zip(records, of, strict=True) if which == (mode, share, value)), None)


def _speed(record: Mapping[str, Any] | None) -> str:
    if record is None:
        return ""
    speed = f"{record['tokens_per_second']:.1f}"
    return speed if record["mode"] == BASE else f"{speed} (x{record['speedup']:.2f})"


def _distinct(records: _Records, name: str, of: str | None = None) -> list[Any]:
    wanted = (it[name] for it in records if of is None or it["mode"] == of)
    return [value for value in dict.fromkeys(wanted) if value is not None]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if at else "left")
    return table
