"""What a calibration's page shows."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from specreason_graph.tools.calibrate.calibration import Calibration
from specreason_graph.tools.calibrate.curve import Point
from specreason_graph.tools.calibrate.verdict import verdict
from specreason_graph.tools.report.chart import Axis, Chart, Line, around


class Told(BaseModel):
    """One piece of evidence, or a fit on some: how often it ranks a fine step above a bad one."""

    name: str
    fitted: bool
    auroc: float
    low: float
    high: float


class CalibrationPage(BaseModel):
    """A calibration."""

    title: str
    verdict: str
    policy: str | None
    """Its file, if one was written."""
    evidence: list[Told]
    """The best first."""
    chart: Chart
    chosen: Point | None
    points: list[Point]
    """Some of the curve's, for reading."""


def calibration_page(found: Calibration, policy: Path | None) -> CalibrationPage:
    """The page of a calibration, and the file of its policy if one was written."""
    rows = [*((name, False, one) for name, one in found.evidence.items())]
    rows += [(f"fitted on {name}", True, one) for name, one in found.fits.items()]
    told = [
        Told(name=name, fitted=fitted, auroc=one.auroc, low=one.interval[0], high=one.interval[1])
        for name, fitted, one in rows
    ]
    return CalibrationPage(
        title=f"What judge {found.steps.judge.name} can tell",
        verdict=verdict(found),
        policy=None if policy is None else str(policy),
        evidence=sorted(told, key=lambda one: -one.auroc),
        chart=_chart(found),
        chosen=found.chosen,
        points=_some(found.curve),
    )


def _chart(found: Calibration) -> Chart:
    bad = [(100 * point["acceptance"], 100 * point["bad_rate"]) for point in found.curve]
    lost = [(100 * point["acceptance"], 100 * point["lost"]) for point in found.curve]
    everything = 100 * found.curve[0]["bad_rate"]
    _, high = around([y for _, y in (*bad, *lost)], least=0, most=100)
    lines = [
        Line(name="accepted steps that are bad", kind="base", points=bad),
        Line(name="solved problems lost", kind="paper", points=lost),
        Line(name="bad steps when accepting at random", kind="random", points=[(0, everything), (100, everything)]),
    ]
    if found.chosen is not None:
        at = 100 * found.chosen["acceptance"]
        lines.append(Line(name="chosen threshold", kind="ours", points=[(at, 0), (at, high)]))
    return Chart(
        title="What each threshold costs",
        x=Axis(name="steps accepted", low=0, high=100, unit=" %"),
        y=Axis(name="bad, or lost", low=0, high=high, unit=" %"),
        lines=lines,
    )


def _some(points: list[Point], most: int = 12) -> list[Point]:
    """Of the curve's points those that are nearest to equal steps of acceptance."""
    wanted = [at / (most - 1) for at in range(most)]
    near = [min(points, key=lambda point: abs(point["acceptance"] - at)) for at in wanted]
    return [point for before, point in zip([None, *near], near, strict=False) if point is not before][::-1]
