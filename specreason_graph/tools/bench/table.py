"""A benchmark's report for reading: a table of the arms, and their differences in words."""

from __future__ import annotations

from rich import box
from rich.table import Table

from specreason_graph.tools.bench.outcome import Arm
from specreason_graph.tools.bench.totals import ArmTotals, BenchReport, Paired

_NAMES: dict[Arm, str] = {
    "base": "base alone",
    "draft": "draft alone",
    "paper": "SpecReason as in the paper",
    "ours": "ours",
    "random": "accepting at random",
}
_COLUMNS = (
    "n",
    "right",
    "accuracy",
    "accepted",
    "s per\nproblem",
    "times\nbase",
    "tokens drafted\n(discarded)",
    "by base\n(hedged)",
    "judged\n(new)",
    "judge's\ntime",
    "first\nstep s",
    "no\nanswer",
    "finished",
)
_UNKNOWN = "?"
_NONE = "-"


def bench_table(report: BenchReport) -> Table:
    """A row an arm; tokens are those of all its samples, `times base` is on the problems that base has done too."""
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("arm", overflow="fold")
    for name in _COLUMNS:
        table.add_column(name, justify="right", overflow="fold")  # narrow terminals break a figure, but lose no digit
    for arm, totals in report["arms"].items():
        table.add_row(arm_name(arm), *_cells(totals, _times_base(report, arm)))
    return table


def paired_lines(report: BenchReport) -> list[str]:
    """A line a pair: the difference in percentage points and the ratio of seconds, with their intervals."""
    # From the right, since a threshold may be below 0.
    return [f"{' - '.join(name.rsplit('-', 1))}: {_difference(pair)}" for name, pair in report["paired"].items()]


def arm_name(arm: Arm) -> str:
    """An arm's name for reading, and the threshold of its own if it has one."""
    method, at, threshold = arm.partition("@")
    return f"{_NAMES[method]} at {threshold}" if at else _NAMES[method]


def _cells(totals: ArmTotals, times_base: str) -> list[str]:
    low, high = totals["interval"]
    tokens, first, new = totals["tokens"], totals["first_step_seconds"], totals["tokens"]["judged_new"]
    return [
        str(totals["n"]),
        f"{totals['right']}/{totals['samples']}",
        f"{totals['accuracy']:.1%} [{100 * low:.0f}, {100 * high:.0f}]".replace("%", " %"),
        _NONE if totals["acceptance"] is None else _percent(totals["acceptance"]),
        f"{totals['seconds']:.1f}",
        times_base,
        f"{tokens['drafted']:,} ({tokens['discarded']:,})",
        f"{tokens['base']:,} ({tokens['hedged']:,})",
        f"{tokens['judged']:,} ({_UNKNOWN if new is None else f'{new:,}'})",
        _percent(totals["share"]["judge"]),
        _NONE if first is None else f"{first:.1f}",
        _percent(totals["no_answer"]),
        _percent(totals["ended"].get("finished", 0) / totals["samples"]),
    ]


def _times_base(report: BenchReport, arm: Arm) -> str:
    if arm == "base":
        return "1.00"
    pair = report["paired"].get(f"{arm}-base")
    return _NONE if pair is None or pair["seconds_ratio"] is None else f"{pair['seconds_ratio']:.2f}"


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
