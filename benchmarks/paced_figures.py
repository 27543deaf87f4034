"""Ratios out of runs: against base alone, and against base with speculative decoding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from paced_grid import DECODE, RECORDED, Cells, Plan
from paced_runs import BASE, Solved

LEVELS = (1.0, 1.25)
"""Times as fast as base with speculative decoding, of which the plots show where they are reached."""


def figures(found: Cells) -> dict[str, Any]:
    """`{profile: {server: {acceptance: {mode: figures}}}}`.

    On the same traces, `ratio` is to base alone, and `ratio_to_decode` to base with speculative decoding.
    """
    tree: dict[str, Any] = {}
    for cell, runs in found.items():
        seconds = _seconds(runs)
        to_base, to_decode = (_seconds(found[cell._replace(mode=mode)]) / seconds for mode in (BASE, BASE + DECODE))
        place = tree.setdefault(cell.profile, {}).setdefault(cell.server, {}).setdefault(cell.acceptance, {})
        place[cell.mode] = {
            "ratio": to_base,
            "ratio_to_decode": to_decode,
            "seconds": seconds,
            "efficiency": fmean(run.unavoidable for run in runs) / seconds,
            **{f"{role}_tokens": sum(_tokens(runs, role)) / len(runs) for role in ("base", "draft")},
        }
    return tree


def baselines(tree: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """`{profile: {"decode": ratio}}`: base with speculative decoding over base alone, recorded runs, ideal server."""
    return {
        profile: {"decode": servers["ideal"][RECORDED][BASE + DECODE]["ratio"]}
        for profile, servers in tree.items()
        if RECORDED in servers["ideal"]
    }


def recorded_place(plan: Plan, profile: str) -> dict[str, float]:
    """Where on the axis of acceptance the recorded runs are: by steps, and by the kept tokens that the draft wrote."""
    traces = plan.traces(profile)[RECORDED]
    steps = [step for trace in traces for step in trace.steps]
    return {
        "problems": len(traces),
        "acceptance": sum(step.accepted for step in steps) / len(steps),
        "draft_share": sum(step.written for step in steps if step.accepted) / sum(step.written for step in steps),
    }


def crossings(tree: Mapping[str, Any], mode: str = "both") -> dict[str, dict[str, dict[str, float | None]]]:
    """`{profile: {server: {level: acceptance}}}`: from which acceptance in per cent on the mode with speculative
    decoding is so many times as fast as base with it, on synthetic traces; None: at none that was run."""
    return {
        profile: {
            server: {f"{level:g}": crossing(over_decode(rows, mode), level) for level in LEVELS}
            for server, rows in servers.items()
        }
        for profile, servers in tree.items()
    }


def over_decode(rows: Mapping[str, Any], mode: str) -> dict[int, float]:
    """The mode with speculative decoding over base with it, by synthetic traces' acceptance in per cent."""
    return {
        acceptance: rows[str(acceptance)][mode + DECODE]["ratio_to_decode"]
        for acceptance in sorted(int(name) for name in rows if name != RECORDED)
    }


def crossing(points: Mapping[int, float], level: float) -> float | None:
    """Where straight lines between the points rise above a level for good; the first point if all are above it."""
    places = sorted(points)
    if not places or points[places[-1]] < level:
        return None
    for before, after in reversed(list(pairwise(places))):
        low, high = points[before], points[after]
        if low < level <= high:
            return before + (after - before) * (level - low) / (high - low)
    return places[0]


def _seconds(runs: Sequence[Solved]) -> float:
    return fmean(run.seconds for run in runs)


def _tokens(runs: Sequence[Solved], call: str) -> Iterator[int]:
    return (request.tokens for run in runs for request in run.requests if request.call == call)
