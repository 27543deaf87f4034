"""Labelled steps: drafted ones, the evidence on each, and whether base still comes to the right answer behind it.

Base finishes the problem from the question on. Where that is right, the draft proposes a step, every judge gives
its evidence, and base finishes again behind it: the step is bad if the answer is right no longer. A fine step is
kept; in a bad one's place comes base's own, which is the next step of the completion that was right, so that every
step is drafted behind reasoning that was still good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NotRequired

from typing_extensions import TypedDict

from specreason_graph.contract.evidence import Evidence
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.state import SpecReasonState, WrittenStep
from specreason_graph.endpoint.ids import size
from specreason_graph.generation.passage import Bounds, Passage, collect
from specreason_graph.judging.catalog import SCORE_THRESHOLD, Catalog
from specreason_graph.judging.evidence import DraftedToken, agreement, as_base_reads, ask
from specreason_graph.loop.bounds import has_room
from specreason_graph.loop.opened import opened
from specreason_graph.loop.record import base_step, ids_of
from specreason_graph.loop.run import Run
from specreason_graph.loop.steps import closes_loop, next_step
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Judge
from specreason_graph.tools.bench.grading import graded
from specreason_graph.tools.bench.problems import Problem


class LabelledStep(TypedDict):
    """A drafted step behind reasoning from which base comes to the right answer."""

    text: str
    own: str
    """Base's own version of the step."""
    fine: bool
    """Whether base still comes to the right answer behind it."""
    evidence: dict[str, Evidence]
    """By judge."""


class Chain(TypedDict):
    """One problem: empty of steps where base alone does not solve it."""

    problem: str
    mark: NotRequired[str]
    """Hash of the problem; older journals have none."""
    base_right: bool
    steps: list[LabelledStep]


_SETTINGS = {
    "policy": SCORE_THRESHOLD,  # the preset's own may be another pair's
    "look_ahead": False,
    "hedge": False,
    "deadline": None,
    "boxed": True,  # it is what is graded
}


@dataclass(frozen=True, slots=True)
class Chains:
    """How chains are made: on which pair, with which settings, and what base is asked about each step."""

    pair: Pair
    catalog: Catalog
    settings: Settings
    judges: Sequence[Judge]

    async def of(self, problem: Problem) -> Chain:
        """Draft, judge and label one problem's steps.

        Raises:
            ConfigError: settings that can't work on this pair.
            EndpointError: a server failed.
        """
        state = SpecReasonState(messages=[problem.message])
        settings = self.settings.overridden(by=_SETTINGS)
        pairs = {settings.pair: self.pair}
        async with opened(state, settings, pairs, self.catalog, lambda _: None, {}) as run:
            plan = await finished(run, [])
            right = graded(problem, plan.text).right
            steps = await self._steps(run, problem, plan, right=right)
            return Chain(problem=problem.id, mark=problem.mark, base_right=right, steps=steps)

    async def _steps(self, run: Run, problem: Problem, plan: Passage, *, right: bool) -> list[LabelledStep]:
        """Step by step along a completion that comes to the right answer; a fine step begins another one."""
        steps: list[LabelledStep] = []
        close = run.preset.wording(boxed=True).close
        while right and plan.text.strip() and len(run.steps) < run.settings.max_steps and has_room(run):
            drafted, (own, rest) = await next_step(run, "draft"), split(plan, run.preset.boundary)
            ids = own["ids"]
            last = not rest.text.strip() or bool(close and close in own["text"])
            if drafted["text"].strip() and not closes_loop(run, drafted):
                tokens = await as_base_reads(run.pair.base, drafted, same_tokenizer=run.same_tokenizer)
                after, step = await self._labelled(run, problem, drafted, tokens, own, rest)
                steps.append(step)
                if step["fine"]:
                    own, ids, rest, last = drafted, [token.id for token in tokens], after, drafted["closes"]
            if last:
                break
            kept = base_step(run, own, None, await ids_of(run, own["text"], ids))
            run, plan = run.behind([*run.steps, kept]), rest
        return steps

    async def _labelled(
        self,
        run: Run,
        problem: Problem,
        drafted: WrittenStep,
        tokens: Sequence[DraftedToken],
        own: WrittenStep,
        rest: Passage,
    ) -> tuple[Passage, LabelledStep]:
        found: dict[str, Evidence] = {}
        for judge in self.judges:
            request = await run.pair.judge_request(judge, run.preset) if judge.labels else None
            found[judge.name], _ = await ask(replace(run.inquiry(), judge=judge, request=request), drafted, tokens)
            found[judge.name]["agreement"] = agreement(drafted["text"], own["text"])
        same = drafted["text"] == own["text"]  # then what is behind it is known
        after = rest if same else await finished(run, [token.id for token in tokens], closed=drafted["closes"])
        text = "".join(step["text"] for step in run.steps) + drafted["text"] + after.text
        step = LabelledStep(text=drafted["text"], own=own["text"], fine=graded(problem, text).right, evidence=found)
        return after, step


async def finished(run: Run, step: Sequence[int], *, closed: bool = False) -> Passage:
    """What base writes behind a step, to the answer's end; nothing when an instruct model's turn is over."""
    if closed and run.preset.kind == "instruct":
        return Passage()
    cue = (await run.pair.base.encode(run.preset.wording(boxed=True).answer_cue, control=True)).ids if closed else []
    tokens = run.settings.answer_budget + (0 if closed else run.settings.reasoning_budget - run.reasoning_tokens())
    prompt = run.ledger("base").plus([*step, *cue])
    bounds = Bounds(min(tokens, run.contexts["base"] - size(prompt)))
    # No loop is cut: what a step is measured by is base as it is.
    return await collect(run.pair.base, prompt, bounds, run.sampling("regenerate"))


def split(plan: Passage, boundary: str) -> tuple[WrittenStep, Passage]:
    """The next step of a completion, and what follows it; the token that completes the boundary is its last."""
    step, rest = Passage(), Passage()
    for token in plan.tokens:
        into = rest if boundary in step.text.lstrip() else step
        into.add(token)
    own = WrittenStep(
        text=step.text,
        ids=step.ids,
        logprobs=step.logprobs,
        starts=step.starts,
        cut=False,
        loops=False,
        closes=not rest.tokens,
        closing=None,
        ended_with=None,
        cached_tokens=None,
        seconds=0.0,
    )
    return own, rest
