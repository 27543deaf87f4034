"""When draft, judge and base worked, as bars along one axis, and which of it the run had to wait for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Literal

from pydantic import BaseModel

from specreason_graph.use.page.recorded import Recorded, RecordedStep

Worker = Literal["draft", "judge", "base"]
NODES: dict[Worker, str] = {"draft": "draft_step", "judge": "judge", "base": "regenerate"}
"""Whose seconds of a step are whose; in the order they come."""
_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_HOUR = 3600
_MOST_TICKS = 6


class Bar(BaseModel):
    """One piece of work."""

    role: Worker
    step: int | None
    """Its step's index; None: the answer."""
    began: float
    ended: float
    fate: Literal["kept", "rejected", "thrown away", "judged", "answer"]
    tokens: int
    cut: bool = False
    """Whether the step was stopped in mid-sentence."""


class Tick(BaseModel):
    """A mark of the axis, in seconds."""

    at: float
    label: str


class Times(BaseModel):
    """The run along its seconds."""

    seconds: float
    work: list[Bar]
    """Empty where the record does not say when; what it waited for is known all the same."""
    waited: list[Bar]
    """What nothing else could hide: the critical path."""
    waited_for: dict[Worker, float]
    """Seconds by role, for the steps."""
    rest: float
    """The other seconds: the answer's, and what is nobody's."""
    ticks: list[Tick]


def times_of(run: Recorded) -> Times | None:
    """The run's times; None where nothing of them is recorded."""
    by_models = [step for step in run.steps if step.source != "human"]
    timed = bool(by_models) and all(step.spans for step in by_models)
    work = [bar for step in run.steps for bar in _work(step)] if timed else []
    waited = [bar for step in run.steps for bar in _waited(step)] if timed else list(_in_a_row(run.steps))
    last = max((bar.ended for bar in (*work, *waited)), default=0.0)
    seconds = max(run.seconds, last)
    if not seconds or not waited:
        return None
    totals: dict[Worker, float] = {"draft": 0.0, "judge": 0.0, "base": 0.0}
    for bar in waited:
        totals[bar.role] += bar.ended - bar.began
    if timed and run.answer and seconds > last:
        answer = Bar(role="base", step=None, began=last, ended=seconds, fate="answer", tokens=0)
        work, waited = [*work, answer], [*waited, answer]
    return Times(
        seconds=seconds,
        work=work,
        waited=waited,
        waited_for=totals,
        rest=max(0.0, seconds - sum(totals.values())),
        ticks=list(_ticks(seconds)),
    )


def _work(step: RecordedStep) -> Iterator[Bar]:
    for span in step.spans:
        fate: Literal["kept", "rejected", "thrown away", "judged"] = (
            "thrown away"
            if not span.used
            else "judged"
            if span.role == "judge"
            else "rejected"
            if span.role == "draft" and step.source != "draft"
            else "kept"
        )
        began, ended = max(0.0, span.began), max(0.0, span.began, span.ended)
        cut = step.cut and fate == "kept"
        yield Bar(role=span.role, step=step.index, began=began, ended=ended, fate=fate, tokens=span.tokens, cut=cut)


def _waited(step: RecordedStep) -> Iterator[Bar]:
    """A stream's step is waited for as long as its node says, up to its end; a judge's request from its beginning."""
    for bar in _work(step):
        if bar.fate != "thrown away":
            took = step.seconds.get(NODES[bar.role], 0.0)
            yield bar.model_copy(update={"began": max(bar.began, bar.ended - took)})


def _in_a_row(steps: Sequence[RecordedStep]) -> Iterator[Bar]:
    now = 0.0
    for step in steps:
        for role, node in NODES.items():
            took = step.seconds.get(node, 0.0)
            if took > 0:
                fate = "judged" if role == "judge" else "kept" if role == step.source else "rejected"
                bar = {"role": role, "step": step.index, "began": now, "ended": now + took, "fate": fate, "tokens": 0}
                now += took
                yield Bar.model_validate(bar)


def _ticks(seconds: float) -> Iterator[Tick]:
    whole_hours = _HOUR * ceil(seconds / _HOUR / _MOST_TICKS)
    every = next((tick for tick in _TICKS if seconds / tick <= _MOST_TICKS), whole_hours)
    size, unit = next(it for it in ((_HOUR, "h"), (60, "min"), (1, "s")) if every >= it[0] or it[0] == 1)
    for count in range(int(seconds / every) + 1):
        yield Tick(at=count * every, label=f"{count * every / size:g} {unit}")
