"""A benchmark's report for reading: a table of the arms, and their differences in words."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.table import Table

from specreason_graph.tools.bench.outcome import BASE, BASE_DECODE, Arm, parts_of
from specreason_graph.tools.bench.totals import BenchReport, Paired

_NAMES: dict[Arm, str] = {
    "base": "base alone",
    "draft": "draft alone",
    "paper": "SpecReason as in the paper",
    "ours": "ours",
    "random": "accepting at random",
}
_UNKNOWN = "?"
_NONE = "-"


def bench_table(report: BenchReport) -> Table:
    """A row an arm; tokens are those of all its samples, `times base` is on the problems that base has done too."""
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("arm", overflow="fold")
    rows = {arm: arm_cells(report, arm) for arm in report["arms"]}
    for name in next(iter(rows.values()), {}):
        table.add_column(name, justify="right", overflow="fold")  # narrow terminals break a figure, but lose no digit
    for arm, cells in rows.items():
        table.add_row(arm_name(arm), *cells.values())
    return table


def report_lines(
    report: BenchReport, called: Callable[[Arm, Arm], str] = lambda one, other: f"{one} - {other}"
) -> list[str]:
    """What stands below the table.

    A line a pair: the difference in percentage points and the ratio of seconds, with their intervals. Then what base's
    speculative decoding gave, where that is known of all arms together alone.
    """
    # From the right, since a threshold may be below 0.
    pairs = [(called(*name.rsplit("-", 1)), pair) for name, pair in report["paired"].items()]
    lines = [f"{name}: {_difference(pair)}" for name, pair in pairs]
    decoding = [totals for arm, totals in report["arms"].items() if parts_of(arm).decodes]
    if report["tokens_a_pass"] is not None and any(totals["tokens_a_pass"] is None for totals in decoding):
        lines.append(f"tokens a pass of base that decodes, all arms together: {report['tokens_a_pass']:.2f}")
    return lines


def arm_name(arm: Arm) -> str:
    """An arm's name for reading, with the judge and the threshold of its own if it has them."""
    method, judge, decodes, threshold = parts_of(arm)
    name = _NAMES[method] + (f" by {judge}" if judge else "") + (" + decode" if decodes else "")
    return name if threshold is None else f"{name} at {threshold:g}"


def arm_cells(report: BenchReport, arm: Arm) -> dict[str, str]:
    """An arm's row, by the heads of its columns; what tells of speculative decoding is there where an arm decodes."""
    totals = report["arms"][arm]
    low, high = totals["interval"]
    tokens, first, new = totals["tokens"], totals["first_step_seconds"], totals["tokens"]["judged_new"]
    decoding = {
        "times\nbase+\ndecode": _times(report, arm, BASE_DECODE),
        "tokens\na pass": _decoded(totals["tokens_a_pass"], arm),
    }
    return {
        "n": str(totals["n"]),
        "right": f"{totals['right']}/{totals['samples']}",
        "accuracy": f"{totals['accuracy']:.1%} [{100 * low:.0f}, {100 * high:.0f}]".replace("%", " %"),
        "accepted": _share(totals["acceptance"]),
        "by\ndraft": _share(totals["draft_share"]),
        "s per\nproblem": f"{totals['seconds']:.1f}",
        "times\nbase": _times(report, arm, BASE),
        **(decoding if any(parts_of(other).decodes for other in report["arms"]) else {}),
        "tokens drafted\n(discarded)": f"{tokens['drafted']:,} ({tokens['discarded']:,})",
        "by base\n(hedged)": f"{tokens['base']:,} ({tokens['hedged']:,})",
        "judged\n(new)": f"{tokens['judged']:,} ({_UNKNOWN if new is None else f'{new:,}'})",
        "judge's\ntime": _percent(totals["share"]["judge"]),
        "first\nstep s": _NONE if first is None else f"{first:.1f}",
        "no\nanswer": _percent(totals["no_answer"]),
        "finished": _percent(totals["ended"].get("finished", 0) / totals["samples"]),
    }


def _times(report: BenchReport, arm: Arm, baseline: Arm) -> str:
    if arm == baseline:
        return "1.00"
    pair, other_way = report["paired"].get(f"{arm}-{baseline}"), report["paired"].get(f"{baseline}-{arm}")
    if pair is not None and pair["seconds_ratio"] is not None:
        return f"{pair['seconds_ratio']:.2f}"
    return f"{1 / other_way['seconds_ratio']:.2f}" if other_way is not None and other_way["seconds_ratio"] else _NONE


def _decoded(tokens: float | None, arm: Arm) -> str:
    if not parts_of(arm).decodes:
        return _NONE
    return _UNKNOWN if tokens is None else f"{tokens:.2f}"


def _difference(pair: Paired) -> str:
    low, high = pair["interval"]
    # z: a difference that rounds to zero has no sign.
    said = f"{100 * pair['accuracy']:+z.1f} points [{100 * low:z.1f}, {100 * high:z.1f}]"
    if low <= 0 <= high:
        said += " (no difference seen)"
    if pair["seconds_ratio"] is None or pair["ratio_interval"] is None:
        return said
    fastest, slowest = pair["ratio_interval"]
    return f"{said}, {pair['seconds_ratio']:.2f} times the seconds [{fastest:.1f}, {slowest:.1f}]"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def _share(fraction: float | None) -> str:
    return _NONE if fraction is None else _percent(fraction)
