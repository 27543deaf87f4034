"""Whole runs on a GPU's servers, with an acceptance that is forced, and base alone for as many tokens."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from gpu_calls import JUDGE, TEMPERATURE, TOP_P, Stage
from gpu_cells import BASE, MODES, Runs
from langchain_core.messages import AnyMessage, HumanMessage

from specreason_graph import Settings, create_specreason
from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.evidence import Evidence
from specreason_graph.contract.state import Step
from specreason_graph.generation.passage import Bounds, collect
from specreason_graph.judging.scoring import Decision
from specreason_graph.loop.report import acceptance
from specreason_graph.models.conversation import chat_messages, digest
from specreason_graph.models.presets import Judge
from specreason_graph.tools.bench.concurrency import each

FORCED = "forced"
STEP_TOKENS = 128
"""Of a step, before it is cut: few reach it."""
_BLOCK = 10  # steps, of which exactly the share is accepted
_SHARES = [steps / _BLOCK for steps in range(_BLOCK + 1)]


@dataclass(frozen=True, slots=True)
class ForcedAcceptance:
    """The policy `forced`: the judge is asked and paid for, then a coin takes the place of its verdict.

    Its threshold is the share of steps that it accepts: exactly that of every ten, in an order drawn from the seed.
    So runs of all modes meet the same verdicts at the same places.
    """

    seed: int
    threshold: float = 0.5
    name: str = FORCED
    judge: Judge = JUDGE

    def at(self, threshold: float | None) -> ForcedAcceptance:
        """This policy with another share.

        Raises:
            ConfigError: it is no share of ten steps.
        """
        if threshold is not None and threshold not in _SHARES:
            raise ConfigError(f"acceptance: {100 * threshold:g} % is no number of ten steps; give one such as 50")
        return self if threshold is None else replace(self, threshold=threshold)

    def check_fits(self, base_model: str, draft_model: str, preset: str) -> None:
        """It fits every pair."""

    def decide(self, evidence: Evidence, before: Sequence[Step] = ()) -> Decision:
        """See `Policy`."""
        block, place = divmod(evidence["place"], _BLOCK)
        order = random.Random(f"{self.seed} {block}").sample(range(_BLOCK), _BLOCK)
        accepted = order[place] < round(_BLOCK * self.threshold)
        return accepted, None, None if accepted else "probability"


@dataclass(frozen=True, slots=True)
class _Ran:
    kept: int
    """Tokens of reasoning."""
    steps: Sequence[Step]
    ended: str
    discarded: int
    """Tokens of both models that nobody kept."""


async def time_runs(stage: Stage, cell: Runs) -> dict[str, Any]:
    """Kept tokens a second, of as many runs at a time as the cell says, in rounds one behind the other."""
    ran: list[_Ran] = []
    seconds = 0.0

    async def run(seed: int) -> None:
        ran.append(await _run(stage, cell, seed))

    for turn in range(stage.extent.rounds):
        seeds = [turn * cell.at_once + number for number in range(cell.at_once)]
        began = time.perf_counter()
        await each(seeds, run, cell.at_once)
        seconds += time.perf_counter() - began
    kept = sum(it.kept for it in ran)
    steps = [step for it in ran for step in it.steps]
    accepted, judged = acceptance(steps)
    return {
        "tokens_per_second": kept / seconds,
        "seconds": seconds,
        "runs": len(ran),
        "kept_tokens": kept,
        "discarded_tokens": sum(it.discarded for it in ran),
        "steps": len(steps),
        "accepted": accepted,
        "judged": judged,
        "ended": dict(Counter(it.ended for it in ran)),
    }


async def _run(stage: Stage, cell: Runs, seed: int) -> _Ran:
    question = _question(cell, seed)
    if cell.mode == BASE:
        return await _base(stage, question, seed)
    settings = Settings(
        preset=stage.preset.name,
        policy=FORCED,
        threshold=(cell.acceptance or 0) / 100,
        reasoning_budget=stage.extent.run_tokens,
        answer_budget=1,
        step_tokens=STEP_TOKENS,
        max_steps=5000,
        temperature=TEMPERATURE,
        top_p=TOP_P,
        seed=seed,
        gate="always",  # else a slow cell would be measured without its drafts
        **MODES[cell.mode],
    )
    graph = create_specreason(
        pair=stage.pair, settings=settings, presets=[stage.preset], policies=[ForcedAcceptance(seed)]
    ).compile()
    state = await graph.ainvoke({"messages": question})
    steps: list[Step] = state["specreason_steps"]
    discarded = sum(usage["discarded_tokens"] for usage in state["specreason_usage"].values())
    return _Ran(sum(len(step["ids"]["base"]) for step in steps), steps, state["specreason_ended"], discarded)


def _question(cell: Runs, seed: int) -> list[AnyMessage]:
    """One that takes long to reason through, and that no run shares with another."""
    first = 1000 + int(digest([repr(cell), seed])[:6], 16)
    return [HumanMessage(f"Which of the numbers from {first} to {first + 80} are primes? Go through them one by one.")]


async def _base(stage: Stage, question: list[AnyMessage], seed: int) -> _Ran:
    """The reasoning in one generation, then a token of answer, as `finalize` has it written."""
    pair, preset = stage.pair, stage.preset
    sampling = preset.sampling(Settings(temperature=TEMPERATURE, top_p=TOP_P), seed)
    opening = await pair.opening("base", chat_messages(question, preset), preset)
    close = (await pair.closings("base", preset)).marker
    reasoning = await collect(pair.base, opening.ids, Bounds(stage.extent.run_tokens), sampling, close=close)
    cue = (await pair.base.encode(preset.answer_cue, control=True)).ids
    await collect(pair.base, [*opening.ids, *reasoning.ids, *cue], Bounds(1), sampling)
    return _Ran(len(reasoning.ids), [], "budget" if reasoning.cut else "finished", 0)
