"""The next step of a run, by either model, and whether that model goes on behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from specreason_graph.contract.settings import Role
from specreason_graph.contract.state import Step, WrittenStep
from specreason_graph.endpoint.protocol import Token
from specreason_graph.generation.cycle import STEP_LOOP
from specreason_graph.generation.ledger import encode_step
from specreason_graph.generation.passage import Passage
from specreason_graph.generation.stream import Wanted
from specreason_graph.judging.evidence import DraftedToken, as_base_reads
from specreason_graph.loop.bounds import longest_step, room, step_bounds
from specreason_graph.loop.repetition import RECENT, goes_in_circles
from specreason_graph.loop.run import Run
from specreason_graph.loop.watched import tell


async def begin(run: Run, role: Role) -> None:
    """Have a model write behind the run's ledger, if it does not yet, and do not wait for it."""
    if not run.overlap.goes_on_behind(role, run.ledger(role)):
        hedges = role == "base" and may_hedge(run)
        goes_on = looks_ahead(run) if role == "draft" else hedges or run.gate["level"] == "base"
        await run.overlap.begin(role, await _wanted(run, role, goes_on=goes_on), hedges=hedges)


async def hedge(run: Run) -> None:
    """Have base begin its own version of a step with the draft; the hedges of all runs of a pair have a bound."""
    if run.gate["level"] != "both":  # base wrote alone, or hedged, and is to stop
        await run.overlap.drop("base")
    elif may_hedge(run):
        await begin(run, "base")


async def next_step(run: Run, role: Role) -> WrittenStep:
    """A model's next step: up to a step boundary, the end of the reasoning, or the step's bounds."""
    await begin(run, role)
    tell(role, len(run.steps), lambda: run.overlap.text(role))
    return await run.overlap.step(role, step_bounds(run))


def may_hedge(run: Run) -> bool:
    """Whether base may write what turns out to be for nothing."""
    chosen = run.pair.base.overlaps if run.settings.hedge is None else run.settings.hedge
    return chosen and run.gate["level"] == "both" and run.pair.live.load.hedges < run.settings.hedges


def looks_ahead(run: Run) -> bool:
    """Whether the draft goes on behind its step."""
    return run.pair.draft.overlaps if run.settings.look_ahead is None else run.settings.look_ahead


async def as_read_by_base(run: Run, drafted: WrittenStep) -> tuple[WrittenStep, list[DraftedToken]]:
    """A drafted step, and its tokens as base reads it; one that has more of those than a step may have is cut there.

    The draft's tokens are not base's, so its own bounds can't see to that.
    """
    tokens = await as_base_reads(run.pair.base, drafted, same_tokenizer=run.same_tokenizer)
    if len(tokens) <= (most := longest_step(run)):
        return drafted, tokens
    kept = Passage([Token(token.id, token.logprob or 0.0, token.text) for token in tokens])
    kept.trim(most)
    ids = kept.ids if run.same_tokenizer else (await encode_step(run.pair.draft, kept.text)).ids
    begun = [start for start in drafted["starts"] if start < len(kept.text)]
    run.bill.discarded("draft", max(0, len(drafted["ids"]) - len(ids)))
    cut = {
        **drafted,
        "text": kept.text,
        "ids": ids,
        "logprobs": drafted["logprobs"][: len(begun)],
        "starts": begun,
        "cut": True,
        "closes": False,
        "closing": None,
        "ended_with": None,
    }
    return cast(WrittenStep, cut), tokens[: len(kept.tokens)]


def without_call(run: Run, drafted: WrittenStep) -> WrittenStep:
    """A drafted step that a call would follow, without it: base writes on, and decides whether to act."""
    if run.closed(drafted["ended_with"]) != "call" or not drafted["text"].strip():
        return drafted
    return WrittenStep(**{**drafted, "closes": False, "closing": None})


def closes_loop(run: Run, written: WrittenStep) -> bool:
    """Whether a step is a loop by itself, or one more round of the steps before it."""
    return written["loops"] or (run.settings.loop_detection and _is_one_more_round(run.steps, written["text"]))


def was_handed_over(run: Run) -> bool:
    """Whether base was already asked to write the reasoning's way out of a loop.

    Drafted steps that were loops by themselves do not count: of those the reasoning holds nothing.
    """
    looped = ((at, step["rejected_text"]) for at, step in enumerate(run.steps) if step["reject_reason"] == "loop")
    return any(_is_one_more_round(run.steps[:at], text or "") for at, text in looped)


def _is_one_more_round(steps: Sequence[Step], text: str) -> bool:
    return goes_in_circles([*(step["text"] for step in steps[-RECENT:]), text])


async def _wanted(run: Run, role: Role, *, goes_on: bool) -> Wanted:
    return Wanted(
        endpoint=run.pair.endpoint(role),
        ids=run.ledger(role),
        sampling=run.sampling("draft_step" if role == "draft" else "regenerate"),
        boundary=run.preset.boundary,
        close=(await run.pair.closings(role, run.preset)).marker,
        step_tokens=step_bounds(run).tokens,
        room=room(run, role),
        goes_on=goes_on,
        closers=await run.pair.closers(role, run.preset, run.settings.callable_tools, boxed=run.settings.boxed),
        loop_tokens=STEP_LOOP if run.settings.loop_detection else None,
    )
