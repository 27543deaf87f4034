"""Two plots of a benchmark: what accuracy costs in seconds, and where the seconds went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from specreason_graph.tools.bench.outcome import Arm, parts_of
from specreason_graph.tools.bench.table import arm_name
from specreason_graph.tools.bench.totals import ArmTotals, BenchReport
from specreason_graph.tools.extra import extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart.
_ARM_LOOKS: dict[Arm, tuple[str, str]] = {
    "base": ("#0072B2", "s"),
    "draft": ("#56B4E9", "D"),
    "paper": ("#D55E00", "^"),
    "ours": ("#009E73", "o"),
    "random": ("#999999", "x"),
}
_ROLE_COLORS = {"draft": "#56B4E9", "base": "#0072B2", "judge": "#E69F00", "other": "#BBBBBB"}


def accuracy_against_latency(report: BenchReport, path: Path) -> None:
    """Write the arms as points of seconds and accuracy (PNG or SVG by suffix); a line joins an arm's thresholds.

    Raises:
        ConfigError: the extra `bench` is not installed.
    """
    figure, axes = _empty(f"Accuracy against latency, {_count(report)}", height=4.5)
    named = dict.fromkeys(parts_of(arm).plain for arm in report["arms"])
    for plain in named:
        own = [(arm, totals) for arm, totals in report["arms"].items() if parts_of(arm).plain == plain]
        _points(axes, plain, sorted(own, key=lambda found: found[1]["seconds"]))
    axes.set(xlabel="seconds a problem (mean)", ylabel="accuracy in % (pass@1, 95 % interval)")
    axes.margins(x=0.1)
    axes.set_xlim(left=0)
    axes.grid(axis="y", color="#EEEEEE")
    if named:  # not beside the points, which are often too close for it
        figure.legend(loc="outside lower center", ncols=4 if len(named) <= 4 else 3, frameon=False)
    figure.savefig(path)


def where_time_went(report: BenchReport, path: Path) -> None:
    """Write a bar an arm: seconds a problem by role, and what is left of them (PNG or SVG by suffix).

    Raises:
        ConfigError: the extra `bench` is not installed.
    """
    arms = report["arms"]
    figure, axes = _empty(f"Where the time went, {_count(report)}", height=1.6 + 0.5 * len(arms))
    names, seconds = [arm_name(arm) for arm in arms], [totals["seconds"] for totals in arms.values()]
    ends = [0.0] * len(arms)
    for role, color in _ROLE_COLORS.items():
        # Roles that work at the same time can add up to more than the clock says.
        widths = [
            max(totals["seconds"] - end, 0.0) if role == "other" else totals["share"][role] * totals["seconds"]
            for totals, end in zip(arms.values(), ends, strict=True)
        ]
        axes.barh(names, widths, left=ends, height=0.6, color=color, label=role)
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    for place, (end, total) in enumerate(zip(ends, seconds, strict=True)):
        axes.annotate(f"{total:.1f} s", (end, place), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("seconds a problem (mean)")
    figure.legend(loc="outside lower center", ncols=len(_ROLE_COLORS), frameon=False)
    figure.savefig(path)


def _empty(title: str, height: float) -> tuple[Figure, Axes]:
    """A figure of its own (pyplot's are global state) with bare axes; the height is in inches."""
    figure: Figure = extra("matplotlib.figure", "a plot").Figure(figsize=(8, height), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _points(axes: Axes, plain: Arm, arms: Sequence[tuple[Arm, ArmTotals]]) -> None:
    """An arm's points with their intervals, joined in the order given; a threshold of its own stands beside.

    Those that decode have their method's look, but are empty and joined by dashes.
    """
    method, _, decodes, _ = parts_of(plain)
    color, marker = _ARM_LOOKS[method]
    look, fill = (f"{marker}--", "white") if decodes else (f"{marker}-", color)
    seconds = [totals["seconds"] for _, totals in arms]
    accuracies = [100 * totals["accuracy"] for _, totals in arms]
    # Rounding may put a bound on the wrong side of its accuracy.
    below = [max(100 * (totals["accuracy"] - totals["interval"][0]), 0.0) for _, totals in arms]
    above = [max(100 * (totals["interval"][1] - totals["accuracy"]), 0.0) for _, totals in arms]
    axes.errorbar(
        seconds, accuracies, [below, above], fmt=look, color=color, mfc=fill, lw=0.8, elinewidth=1.2, ms=7,
        label=arm_name(plain),
    )  # fmt: skip
    for (arm, _), x, y in zip(arms, seconds, accuracies, strict=True):
        threshold = parts_of(arm).threshold
        if threshold is not None:
            axes.annotate(f"{threshold:g}", (x, y), (6, -12), textcoords="offset points", color=color, fontsize=9)


def _count(report: BenchReport) -> str:
    """How many problems the arms have done; while they run, not all as many."""
    counts = [totals["n"] for totals in report["arms"].values()] or [0]
    most = f"{max(counts)} problems"
    return most if min(counts) == max(counts) else f"{min(counts)} to {most}"
