"""One real step, drafted and judged by the nodes themselves."""

from __future__ import annotations

from typing import TypedDict

from specreason_graph.contract.events import Event
from specreason_graph.contract.state import Pending, SpecReasonState, Verdict
from specreason_graph.loop.opened import opened
from specreason_graph.loop.run import Run
from specreason_graph.nodes import draft_step, judge
from specreason_graph.tools.doctor.case import Case
from specreason_graph.tools.doctor.check import Finding
from specreason_graph.tools.doctor.reasoning import opens_thinking

_LEAST_MASS = 0.5


class DraftedStep(TypedDict):
    """The step that was drafted."""

    text: str
    tokens: int
    cut: bool
    closes: bool
    seconds: float


class JudgeCall(Verdict):
    """What the judge made of it."""

    judge: str
    labels: list[str]
    """Worst first; empty where none is asked for."""
    threshold: float


class Trial:
    """A run's first step; `step` and `judged` are what came of it."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._run: Run | None = None
        self._state: SpecReasonState = {"messages": [*case.messages]}
        self.step: DraftedStep | None = None
        self.judged: JudgeCall | None = None

    async def draft(self) -> Finding:
        """Have the draft write the first step."""
        alone = {
            "first_steps": 0,
            "look_ahead": False,
            "hedge": False,
            "deadline": None,
        }  # a draft to judge, and nothing beside it
        settings = self._case.settings.overridden(by=alone)
        pairs = {settings.pair: self._case.pair}
        async with opened(self._state, settings, pairs, self._case.catalog, self._hear, {}) as run:
            self._run = run
            update = await draft_step(self._state, run)
        pending: Pending = update["specreason_pending"]
        self._state |= {"specreason_pending": pending}
        drafted = pending["drafted"]
        if not drafted["text"].strip():
            return Finding("wrong", "the draft wrote nothing", "another draft model, or another --preset")
        self.step = DraftedStep(
            text=drafted["text"],
            tokens=len(drafted["ids"]),
            cut=drafted["cut"],
            closes=drafted["closes"],
            seconds=drafted["seconds"],
        )
        if run.preset.kind == "instruct" and opens_thinking(self._case, drafted["text"].split()[0]):
            return Finding("warn", "it opens a think block", "--preset thinking, or one of this pair")
        cut = "cut as a loop" if drafted["loops"] else "cut at step_tokens"
        end = cut if drafted["cut"] else "ends the reasoning" if drafted["closes"] else "whole"
        return Finding("ok", f"{len(drafted['ids'])} tokens in {drafted['seconds']:.2f} s, {end}")

    async def judge(self) -> Finding:
        """Have base judge it."""
        assert self._run is not None, "a judge call needs a drafted step"
        await judge(self._state, self._run)
        assert self.judged is not None, "the node tells its verdict"
        mass = self.judged["label_mass"]
        if mass is not None and (mass < _LEAST_MASS or not self.judged["says_label"]):
            found = f"base's next token is a label at {mass:.0%} only"
            return Finding("warn", found, "another judge: --judge likelihood asks for no label")
        score = self.judged["score"]
        why = self.judged["reason"] if score is None else f"{score:.2f} against {self.judged['threshold']:g}"
        decision = "accepted" if self.judged["accepted"] else "rejected"
        return Finding("ok", f"{decision}, {why}, in {self.judged['seconds']:.2f} s")

    def _hear(self, event: Event) -> None:
        if event["event"] == "step_judged" and self._run is not None:
            self.judged = JudgeCall(
                **event["verdict"],
                judge=self._run.judge.name,
                labels=list(self._run.judge.labels),
                threshold=self._run.policy.threshold,
            )
