"""What a rule of acceptance could go by: several drafts of a step, base's word on each token, and whether each is fine.

    python benchmarks/rules_collect.py --problems gsm8k.jsonl --skip 100 --limit 100 --out runs/rules.jsonl

Along a completion of base that is right, as `specreason calibrate` goes: at each step one greedy draft, three sampled
ones and one that goes on from base's own first token; base's log-probability of their tokens; and base finishes behind
those that a rule could keep, which says whether they are fine. `rules.py` then tries rules on it, offline. Each
problem also tells at which tokens of base's text the draft would have written the same (`accepted_tokens.json`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer
from acceptance_rules import asked
from langchain_core.messages import HumanMessage

from specreason_graph.contract.evidence import Spot
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.state import SpecReasonState, WrittenStep
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.protocol import Sampling
from specreason_graph.generation.passage import Passage
from specreason_graph.generation.stream import Stream, Wanted
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.evidence import DraftedToken, as_base_reads, ask
from specreason_graph.loop.bounds import has_room, room, step_bounds
from specreason_graph.loop.opened import opened, preset_of
from specreason_graph.loop.record import base_step, ids_of
from specreason_graph.loop.run import Run
from specreason_graph.loop.steps import closes_loop
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.pair import Pair
from specreason_graph.models.weights import pull
from specreason_graph.tools.bench.about import about
from specreason_graph.tools.bench.concurrency import each
from specreason_graph.tools.bench.grading import graded
from specreason_graph.tools.bench.journal import Journal
from specreason_graph.tools.bench.problems import Problem, load_problems
from specreason_graph.tools.calibrate.chains import finished, split
from specreason_graph.tools.cli.progress import counting
from specreason_graph.tools.doctor.speculation import matches

EVERY_TOKEN, FEW = 1000, 12
SURE = -0.05
"""Only of drafts that are compared: the greedy one's tokens are all read, so that any bound can be tried."""
SAMPLED = Sampling(temperature=0.8, top_p=0.95, seed=0)
DRAFTS = 3
AGAIN = -2.0
"""Threshold of the rule whose rejected steps are also tried up to the token that failed."""
LEAST_KEPT = 4
_MARGIN = 0.5  # below the threshold, so that one a little lower can be tried as well
_SETTINGS = Settings(
    policy="threshold", judge="likelihood", look_ahead=False, hedge=False, boxed=True, reasoning_budget=1024,
    answer_budget=256, temperature=0.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rules:
    """Where it is collected from."""

    pair: Pair

    async def of(self, problem: Problem) -> dict[str, Any]:
        """One problem's contexts; none where base alone does not solve it."""
        state = SpecReasonState(messages=[HumanMessage(problem.text)])
        async with opened(state, _SETTINGS, {"default": self.pair}, builtin(), lambda _: None, {}) as run:
            plan = await finished(run, [])
            right = graded(problem, plan.text).right
            would_write = await matches(run.pair.draft, run.ledger("draft"), plan.ids)
            contexts = await _contexts(run, problem, plan) if right else []
        return {"problem": problem.id, "right": right, "matches": would_write, "contexts": contexts}


async def _contexts(run: Run, problem: Problem, plan: Passage) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while plan.text.strip() and len(run.steps) < run.settings.max_steps and has_room(run):
        own, rest = split(plan, run.preset.boundary)
        drafts = await _drafts(run)
        greedy = drafts["greedy"]
        if not greedy["text"].strip() or closes_loop(run, greedy):
            found.append({"own": own["text"], "own_tokens": len(own["ids"]), "drafts": {}, "kept": None})
        else:
            context, after = await _context(run, problem, drafts, own, rest)
            found.append(context)
            if context["drafts"]["greedy"]["fine"]:
                own, rest = greedy, after
        last = own["closes"] if own is greedy else not rest.text.strip()
        if last:
            break
        kept = base_step(run, own, None, await ids_of(run, own["text"], own["ids"]))
        run, plan = run.behind([*run.steps, kept]), rest
    return found


async def _drafts(run: Run) -> dict[str, WrittenStep]:
    """By kind; a sampled one that says what another does is left out, as is base's token where it is the draft's."""
    drafts = {"greedy": await _drafted(run, run.sampling("draft_step"))}
    seed = run.sampling("draft_step").seed
    for number in range(DRAFTS):
        drafts[f"sampled{number}"] = await _drafted(run, replace(SAMPLED, seed=seed + number))
    first = (await run.pair.base.read([run.ledger("base")])).items[0].likeliest
    if drafts["greedy"]["ids"][:1] != [first]:
        drafts["first"] = await _drafted(run, run.sampling("draft_step"), [first])
    return drafts


async def _drafted(run: Run, sampling: Sampling, begun: Sequence[int] = ()) -> WrittenStep:
    """A step of the draft, behind some tokens of its beginning."""
    ids: Ids = run.ledger("draft").plus(list(begun))
    bounds = step_bounds(run)
    stream = Stream(
        Wanted(
            endpoint=run.pair.draft,
            ids=ids,
            sampling=sampling,
            boundary=run.preset.boundary,
            close=(await run.pair.closings("draft", run.preset)).marker,
            step_tokens=bounds.tokens,
            room=room(run, "draft"),
            goes_on=False,
        )
    )
    step, _ = await stream.step(bounds)
    if begun:
        text = await run.pair.draft.decode(begun)
        step["text"], step["ids"] = text + step["text"], [*begun, *step["ids"]]
        step["logprobs"] = [0.0] * len(begun) + step["logprobs"]
        step["starts"] = [0] * len(begun) + [len(text) + start for start in step["starts"]]
    return step


async def _context(
    run: Run, problem: Problem, drafts: dict[str, WrittenStep], own: WrittenStep, rest: Passage
) -> tuple[dict[str, Any], Passage]:
    """All that is known of a step's drafts; and what base writes behind the greedy one."""
    told: dict[str, Any] = {}
    for kind, drafted in drafts.items():
        if not drafted["text"].strip() or any(drafted["text"] == drafts[other]["text"] for other in told):
            continue
        tokens = await as_base_reads(run.pair.base, drafted, same_tokenizer=run.same_tokenizer)
        spots = await _spots(run, drafted, tokens, every=kind == "greedy")
        told[kind] = {
            "text": drafted["text"], "tokens": len(tokens), "ends": drafted["closes"], "cut": drafted["cut"],
            "draft_logprobs": drafted["logprobs"], "spots": spots, "fine": None,
        }  # fmt: skip
    known: dict[str, tuple[bool, Passage]] = {own["text"]: (True, rest)}

    async def fine(text: str, ids: Sequence[int], closed: bool) -> tuple[bool, Passage]:
        if text not in known:
            after = await finished(run, ids, closed=closed)
            before = "".join(step["text"] for step in run.steps)
            known[text] = graded(problem, before + text + after.text).right, after
        return known[text]

    best = max((kind for kind in told if kind != "first"), key=lambda kind: _lowest(told[kind]))
    others = {best, "first"} if _lowest(told["greedy"]) < AGAIN else set()  # only they could be kept in its place
    for kind, draft in told.items():
        if kind == "greedy" or (kind in others and _lowest(draft) >= AGAIN - _MARGIN):
            draft["fine"] = (await fine(drafts[kind]["text"], drafts[kind]["ids"], drafts[kind]["closes"]))[0]
    greedy = drafts["greedy"]
    after = (await fine(greedy["text"], greedy["ids"], greedy["closes"]))[1]
    kept = None
    if (failing := _failing(told["greedy"])) is not None and failing >= LEAST_KEPT:
        beginning = greedy["text"][: greedy["starts"][failing]]
        right, behind = await fine(beginning, greedy["ids"][:failing], False)
        kept = {"tokens": failing, "fine": right, "goes_on": behind.text[:200]}
    context = {"own": own["text"], "own_tokens": len(own["ids"]), "drafts": told, "best": best, "kept": kept}
    return context, after


async def _spots(run: Run, drafted: WrittenStep, tokens: Sequence[DraftedToken], *, every: bool) -> list[Spot]:
    judge = run.judge.model_copy(update={"spots": EVERY_TOKEN if every else FEW, "sure": 0.0 if every else SURE})
    evidence, _ = await ask(replace(run.inquiry(), judge=judge, request=None), drafted, tokens)
    return evidence["spots"] or []


def _asked(draft: dict[str, Any]) -> list[Spot]:
    """The spots of the rule whose rejected steps are tried further."""
    return asked(draft, FEW, 0.0)


def _lowest(draft: dict[str, Any]) -> float:
    return min((spot["base_logprob"] for spot in _asked(draft)), default=-inf)


def _failing(draft: dict[str, Any]) -> int | None:
    """The first token that today's rule rejects the step for."""
    return min((spot["place"] for spot in _asked(draft) if spot["base_logprob"] < AGAIN), default=None)


def main(
    problems: Annotated[str, typer.Option(help="As of `specreason calibrate`")],
    skip: Annotated[int, typer.Option(min=0)] = 0,
    limit: Annotated[int | None, typer.Option(min=1)] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Problems at a time")] = 3,
    threads: Annotated[int | None, typer.Option(min=1, help="Of each model")] = None,
    out: Annotated[Path, typer.Option(help="Where finished problems are kept, and gone on from")] = Path(
        "runs/rules.jsonl"
    ),
) -> None:
    """Collect, on the embedded pair."""
    todo = load_problems(problems, skip=skip, limit=limit, seed=0)
    with embedded_pair(pull("qwen2.5-coder"), threads=threads, slots=concurrency) as config:
        asyncio.run(_collect(Pair(config), todo, problems, concurrency, out))


async def _collect(pair: Pair, todo: Sequence[Problem], source: str, concurrency: int, out: Path) -> None:
    async with pair:
        preset = await preset_of(pair, _SETTINGS, builtin())
        rules = Rules(pair)
        with Journal(out, await about(pair, preset, _SETTINGS, source)) as journal:
            known = {record["problem"] for record in journal.records()}
            left = [problem for problem in todo if problem.id not in known]
            with counting("problems", len(left)) as done:

                async def collect(problem: Problem) -> None:
                    journal.append(await rules.of(problem))
                    done()

                await each(left, collect, concurrency)


if __name__ == "__main__":
    typer.run(main)
