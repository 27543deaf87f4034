"""What a benchmark's page shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from pydantic import BaseModel

from specreason_graph.contract.state import Step
from specreason_graph.loop.report import acceptance
from specreason_graph.tools.bench.outcome import Arm, Outcome, parts_of
from specreason_graph.tools.bench.table import arm_cells, arm_name, report_lines
from specreason_graph.tools.bench.totals import BenchReport, wilson
from specreason_graph.tools.report.chart import Axis, Chart, Dot, Line, around, in_rows
from specreason_graph.use.page.text import shown

_LENGTHS = (16, 32, 64, 128)  # tokens of a drafted step, from which on the next row counts
_PLACES = (2, 3, 5, 9, 17)  # of the step, from 1


class Rate(BaseModel):
    """Accepted of judged steps, with its 95 % interval; fractions."""

    accepted: int
    judged: int
    low: float
    high: float


class Rates(BaseModel):
    """Acceptance by something, an arm a column."""

    title: str
    by: str
    rows: list[tuple[str, list[Rate | None]]]
    """Words of the row, and its rate by arm; None where no step was judged."""


class ArmRow(BaseModel):
    """One arm of the table."""

    number: int
    name: str
    kind: str
    cells: dict[str, str]


class Tried(BaseModel):
    """What one arm came to on one problem."""

    given: str
    right: bool
    seconds: float
    accepted: int
    judged: int


class ProblemRow(BaseModel):
    """One problem, by arm."""

    name: str
    expected: str
    tried: list[Tried | None]
    page: str | None
    """Where its runs are, from the report's file."""


class BenchPage(BaseModel):
    """A benchmark."""

    title: str
    about: list[tuple[str, str]]
    arms: list[ArmRow]
    differences: list[str]
    chart: Chart
    looping: list[str]
    """Names of the arms that judge steps."""
    rates: list[Rates]
    problems: list[ProblemRow]


def bench_page(report: BenchReport, outcomes: Sequence[Outcome], pages: Mapping[str, str]) -> BenchPage:
    """The page of a benchmark.

    Args:
        report: its totals.
        outcomes: what they were made of.
        pages: where each problem's runs are, from the page's own file.
    """
    arms, settings = list(report["arms"]), report["settings"]
    looping = [arm for arm in arms if any(acceptance(it["steps"])[1] for it in outcomes if it["arm"] == arm)]
    names = [("problems", "problems"), ("preset", "preset"), ("judge", "judge"), ("concurrency", "at a time")]
    return BenchPage(
        title=shown(f"{settings.get('base_model', 'base')} with {settings.get('draft_model', 'draft')}"),
        about=[(said, shown(str(settings[name]))) for name, said in names if name in settings],
        arms=[
            ArmRow(number=at, name=arm_name(arm), kind=parts_of(arm).method, cells=arm_cells(report, arm))
            for at, arm in enumerate(arms, 1)
        ],
        differences=report_lines(report, lambda one, other: f"{arm_name(one)} against {arm_name(other)}"),
        chart=_chart(report, arms),
        looping=[arm_name(arm) for arm in looping],
        rates=[
            _rates("Acceptance by the length of the drafted step", "tokens", _LENGTHS, _length, outcomes, looping),
            _rates("Acceptance by the step's place", "step", _PLACES, _place, outcomes, looping),
        ],
        problems=list(_problems(outcomes, arms, pages)),
    )


def _chart(report: BenchReport, arms: Sequence[Arm]) -> Chart:
    totals = report["arms"]
    bounds = [100 * bound for arm in arms for bound in totals[arm]["interval"]]
    low, high = around(bounds, least=0, most=100)
    plain: dict[str, list[Arm]] = {}
    for arm in sorted(arms, key=lambda arm: totals[arm]["seconds"]):
        plain.setdefault(parts_of(arm).plain, []).append(arm)
    x = Axis(name="seconds a problem", low=0, high=1.1 * max(it["seconds"] for it in totals.values()) or 1)
    return Chart(
        title="Accuracy against latency",
        x=x,
        y=Axis(name="right, with 95 % intervals", low=low, high=high, unit=" %"),
        dots=in_rows(
            [
                Dot(
                    number=at,
                    name=arm_name(arm),
                    kind=parts_of(arm).method,
                    x=totals[arm]["seconds"],
                    y=100 * totals[arm]["accuracy"],
                    low=100 * totals[arm]["interval"][0],
                    high=100 * totals[arm]["interval"][1],
                )
                for at, arm in enumerate(arms, 1)
            ],
            x,
        ),
        lines=[
            Line(
                name=f"thresholds of {arm_name(name)}",
                kind=parts_of(name).method,
                points=[(totals[arm]["seconds"], 100 * totals[arm]["accuracy"]) for arm in own],
            )
            for name, own in plain.items()
            if len(own) > 1
        ],
    )


def _rates(
    title: str,
    by: str,
    bounds: Sequence[int],
    measure: Callable[[Step], int],
    outcomes: Sequence[Outcome],
    arms: Sequence[Arm],
) -> Rates:
    rows = []
    for low, high in zip((1, *bounds), (*bounds, None), strict=True):
        cells = [
            _rate(
                step
                for outcome in outcomes
                if outcome["arm"] == arm
                for step in outcome["steps"]
                if low <= measure(step) and (high is None or measure(step) < high)
            )
            for arm in arms
        ]
        if any(cells):
            rows.append((_range(low, high), cells))
    return Rates(title=title, by=by, rows=rows)


def _range(first: int, behind: int | None) -> str:
    if behind is None:
        return f"{first} and more"
    return str(first) if first == behind - 1 else f"{first} to {behind - 1}"


def _rate(steps: Iterable[Step]) -> Rate | None:
    accepted, judged = acceptance(list(steps))
    if not judged:
        return None
    low, high = wilson(accepted / judged, judged)
    return Rate(accepted=accepted, judged=judged, low=low, high=high)


def _length(step: Step) -> int:
    return len(step["draft_logprobs"])


def _place(step: Step) -> int:
    return step["index"] + 1


def _problems(outcomes: Sequence[Outcome], arms: Sequence[Arm], pages: Mapping[str, str]) -> Iterable[ProblemRow]:
    first = {(it["problem"], it["arm"]): it for it in outcomes if it["sample"] == 0}
    for problem in sorted({problem for problem, _ in first}, key=_as_counted):
        tried = [first.get((problem, arm)) for arm in arms]
        yield ProblemRow(
            name=shown(problem),
            expected=shown(next(it["expected"] for it in tried if it is not None)),
            tried=[None if it is None else _tried(it) for it in tried],
            page=pages.get(problem),
        )


def _as_counted(name: str) -> list[tuple[int, str]]:
    """The tenth behind the ninth; a journal has them as they were finished."""
    return [(len(part), part) if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _tried(outcome: Outcome) -> Tried:
    accepted, judged = acceptance(outcome["steps"])
    return Tried(
        given="no answer" if outcome["given"] is None else shown(outcome["given"]),
        right=outcome["right"],
        seconds=outcome["seconds"],
        accepted=accepted,
        judged=judged,
    )
