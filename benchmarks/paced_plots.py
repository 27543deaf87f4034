"""Plots: speed-up against acceptance over base and over base+decode, where the time went, the timeline of one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paced_figures import LEVELS, over_decode
from paced_grid import DECODE, RECORDED, WAYS, Cell, Cells
from paced_profiles import SERVERS
from paced_report import mode_name
from paced_runs import MODES
from paced_servers import Request

from specreason_graph.tools.extra import extra
from specreason_graph.tools.profiles import profiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart.
_MODE_LOOKS = {
    "sequential": ("#D55E00", "^"),
    "look_ahead": ("#E69F00", "v"),
    "hedge": ("#56B4E9", "D"),
    "both": ("#009E73", "o"),
}
_CALL_COLORS = {"draft": "#56B4E9", "judge": "#E69F00", "base": "#0072B2", "nobody": "#BBBBBB"}
_CALL_NAMES = {"base": "base writes", "nobody": "no model works"}
_SHOWN_STEPS = 12  # of a timeline


def plot(found: Cells, figures: dict[str, Any], folder: Path) -> list[Path]:
    """Write all plots. Returns where.

    Raises:
        ConfigError: the extra `bench` is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [_load(figures["load"], folder / "load.png")]
    for profile, servers in figures["profiles"].items():
        paths.append(_speed_up(profile, servers, folder / f"speed-up-{profile}.png"))
        paths.append(_over_decode(profile, figures, folder / f"decode-{profile}.png"))
        acceptance = "80" if "80" in servers["ideal"] else next(iter(servers["ideal"]))
        runs = {mode: found[Cell(profile, "ideal", acceptance, mode)][0] for mode in WAYS}
        title = f"simulated {profile}, {acceptance} % accepted, ideal server"
        path = folder / f"time-{profile}.png"
        paths.append(_where_time_went({m: (r.seconds, r.requests) for m, r in runs.items()}, title, path))
        paths.append(_timeline(runs["both"].requests, title, folder / f"timeline-{profile}.png"))
    return paths


def _speed_up(profile: str, servers: dict[str, Any], path: Path) -> Path:
    """A panel a server, a line a mode."""
    figure = _figure(4.5)
    figure.suptitle(f"Simulated: {profiles()[profile].hardware}", x=0.02, ha="left", fontsize=11)
    panels = figure.subplots(1, len(SERVERS), sharey=True)
    for axes, server in zip(panels, SERVERS, strict=True):
        points = {int(a): modes for a, modes in servers[server].items() if a != RECORDED}
        for mode in MODES:
            color, marker = _MODE_LOOKS[mode]
            ratios = [points[acceptance][mode]["ratio"] for acceptance in sorted(points)]
            axes.plot(sorted(points), ratios, f"{marker}-", color=color, label=mode_name(mode))
        axes.axhline(1, color="#666666", lw=0.8, ls=":")
        axes.set(title=f"{server.replace('_', '-')} server", xlabel="accepted steps in %")
        _bare(axes)
    return _saved(figure, panels, "times as fast as base only", path)


def _over_decode(profile: str, figures: dict[str, Any], path: Path) -> Path:
    """Both overlaps with speculative decoding over base with it, where they reach a level, and the recorded runs."""
    it, recorded = figures["decoder"], figures["recorded"].get(profile)
    figure = _figure(4.5)
    measured = "placeholder" if it["about"].get("placeholder") else "as measured"
    title = f"Simulated: {profiles()[profile].hardware}; {it['tokens_a_pass']:.1f} tokens a pass, {measured}"
    figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    panels = figure.subplots(1, len(SERVERS), sharey=True)
    for axes, server in zip(panels, SERVERS, strict=True):
        rows = figures["profiles"][profile][server]
        points = over_decode(rows, "both")
        color, marker = _MODE_LOOKS["both"]
        axes.plot(list(points), list(points.values()), f"{marker}-", color=color, label="both+decode, synthetic runs")
        for level in LEVELS:
            axes.axhline(level, color="#666666", lw=0.8, ls=":")
            at = figures["crossings"][profile][server][f"{level:g}"]
            if at is not None and points[min(points)] < level:
                axes.vlines(at, 0, level, color="#666666", lw=0.8)
                axes.annotate(f"{level:g}× from {at:.0f} %", (at, 0), xytext=(3, 4), textcoords="offset points", size=8)
        if recorded:
            ratio = rows[RECORDED]["both" + DECODE]["ratio_to_decode"]
            name = f"recorded runs, {recorded['problems']} problems"
            axes.plot(100 * recorded["acceptance"], ratio, "*", ms=12, color="#D55E00", label=name)
            share = 100 * recorded["draft_share"]
            axes.plot(share, ratio, "*", ms=12, mfc="none", color="#D55E00", label="the same, by the draft's tokens")
        axes.set(title=f"{server.replace('_', '-')} server", xlabel="accepted steps in %", xlim=(0, 100))
        _bare(axes)
    return _saved(figure, panels, "times as fast as base+decode", path)


def _load(found: dict[str, Any], path: Path) -> Path:
    """A panel a server, a colour an acceptance: with the gate, and always drafting."""
    figure = _figure(4.5)
    title = "Simulated: many questions at once, with the gate (auto) and without (always)"
    figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, (server, counts) in zip(panels, found.items(), strict=True):
        numbers = [count for count in counts if count.isdigit()]
        for acceptance, (color, marker) in zip(counts[numbers[0]], _MODE_LOOKS.values(), strict=False):
            for name, look in (("auto", "-"), ("always", ":")):
                ratios = [counts[count][acceptance][name] for count in numbers]
                label = f"{acceptance} % accepted, {name}"
                axes.plot([*map(int, numbers)], ratios, f"{marker}{look}", color=color, label=label)
        axes.axhline(1, color="#666666", lw=0.8, ls=":")
        axes.set(title=f"{server.replace('_', '-')} server", xlabel="questions at once", xscale="log")
        axes.set_xticks([*map(int, numbers)], numbers)
        axes.minorticks_off()
        _bare(axes)
    return _saved(figure, panels, "times as fast as base only", path)


def _saved(figure: Figure, panels: Sequence[Axes], measure: str, path: Path) -> Path:
    """Written with what its panels have in common: the axis of what was measured, and a legend."""
    panels[0].set_ylabel(measure)
    panels[0].set_ylim(bottom=0)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = min(len(labels), 100 // (max(map(len, labels)) + 8))  # as many as the figure is wide
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    figure.savefig(path)
    return path


def _where_time_went(runs: dict[str, tuple[float, list[Request]]], title: str, path: Path) -> Path:
    """A bar a mode. Where several models work, the time is the judge's, else the draft's, else base's."""
    figure = _figure(3.5)
    axes = figure.add_subplot()
    axes.set_title(f"Where the time went: {title}", loc="left", fontsize=11)
    names, ends = [mode_name(mode) for mode in runs], [0.0] * len(runs)
    shares = [shared_out(seconds, requests) for seconds, requests in runs.values()]
    for call, color in _CALL_COLORS.items():
        widths = [share[call] for share in shares]
        axes.barh(names, widths, left=ends, height=0.6, color=color, label=_CALL_NAMES.get(call, call))
        ends = [end + width for end, width in zip(ends, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    _bare(axes)
    figure.legend(loc="outside lower center", ncols=len(_CALL_COLORS), frameon=False)
    figure.savefig(path)
    return path


def shared_out(seconds: float, requests: Sequence[Request]) -> Counter[str]:
    """A run's seconds by whose they were; `nobody` is what is left of them."""
    shares: Counter[str] = Counter()
    moments = sorted({moment for request in requests for moment in (request.began, request.ended)})
    for begin, end in pairwise(moments):
        working = {request.call for request in requests if request.began <= begin and end <= request.ended}
        for call in ("judge", "draft", "base"):
            if call in working:
                shares[call] += end - begin  # type: ignore[assignment]  # a Counter of seconds
                break
    shares["nobody"] = max(0.0, seconds - sum(shares.values()))  # type: ignore[assignment]
    return shares


def _timeline(requests: Sequence[Request], title: str, path: Path) -> Path:
    """The first steps of a run, request by request."""
    figure = _figure(2.8)
    axes = figure.add_subplot()
    axes.set_title(f"The first {_SHOWN_STEPS} steps: {title}", loc="left", fontsize=11)
    begin = min(request.began for request in requests)
    judged = sorted(request.ended for request in requests if request.call == "judge")
    end = judged[min(_SHOWN_STEPS, len(judged)) - 1]
    for place, call in enumerate(("draft", "judge", "base")):
        for request in requests:
            if request.call == call and request.began < end:
                span = [(request.began - begin, min(request.ended, end) - request.began)]
                axes.broken_barh(span, (place - 0.35, 0.7), facecolor=_CALL_COLORS[call], edgecolor="white", lw=1.5)
    axes.set_yticks(range(3), ["draft", "judge", "base: hedge\nand regenerate"])
    axes.invert_yaxis()
    axes.set_xlabel("seconds; a model that looks ahead or hedges writes on through its steps until it is cut off")
    _bare(axes)
    figure.savefig(path)
    return path


def _figure(height: float) -> Figure:
    """One of its own (pyplot's are global state); the height is in inches."""
    made: Figure = extra("matplotlib.figure", "a plot").Figure(figsize=(8, height), dpi=150, layout="constrained")
    return made


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
