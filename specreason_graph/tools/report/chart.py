"""Axes, points and lines of a chart, placed in percent of its area: a template draws them at any width."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

from pydantic import BaseModel

from specreason_graph.use.page.model import Scale

_APART = 9.0  # percent of a chart's width that a number takes on a phone


class Axis(Scale):
    """A scale with a name and marks."""

    name: str
    unit: str = ""

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Places and words of some round values."""
        every = _round_step((self.high - self.low) / 4)
        first = ceil(self.low / every - 1e-9)
        values = [at * every for at in range(first, floor(self.high / every + 1e-9) + 1)]
        return [(self.place(value), f"{value:g}{self.unit}") for value in values]


class Dot(BaseModel):
    """A numbered point, with an interval of its height."""

    number: int
    name: str
    kind: str
    """What colours it."""
    x: float
    y: float
    low: float
    high: float
    row: int = 0
    """In which row above the chart its number stands, from the lowest."""


class Line(BaseModel):
    """Points that belong together, as `(x, y)`."""

    name: str
    kind: str
    points: list[tuple[float, float]]


class Chart(BaseModel):
    """All of it."""

    title: str
    x: Axis
    y: Axis
    dots: list[Dot] = []
    lines: list[Line] = []

    def path(self, line: Line) -> str:
        """A line's points as SVG has them, the origin above."""
        return " ".join(f"{self.x.place(x)},{round(100 - self.y.place(y), 2)}" for x, y in line.points)


def in_rows(dots: Sequence[Dot], x: Axis) -> list[Dot]:
    """Dots with their numbers in rows above the chart, so that none covers another."""
    last: list[float] = []
    found = []
    for dot in sorted(dots, key=lambda dot: dot.x):
        place = x.place(dot.x)
        row = next((at for at, before in enumerate(last) if place - before >= _APART), len(last))
        last[row : row + 1] = [place]
        found.append(dot.model_copy(update={"row": row}))
    return sorted(found, key=lambda dot: dot.number)


def around(values: Sequence[float], *, least: float, most: float) -> tuple[float, float]:
    """Bounds that hold all values with some air, and no more than `least` to `most`."""
    low, high = min(values, default=least), max(values, default=most)
    air = 0.1 * (high - low) or 0.05 * (most - least)
    return max(least, low - air), min(most, high + air)


def _round_step(rough: float) -> float:
    size: float = 10.0 ** floor(log10(rough))
    return next(size * nice for nice in (1, 2, 5, 10) if size * nice >= rough)
