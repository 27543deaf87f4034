"""From the record of a run to what its page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from specreason_graph.contract.errors import checked
from specreason_graph.contract.state import GateReason, RejectReason, Step
from specreason_graph.loop.report import acceptance, draft_share
from specreason_graph.use.page.differences import Piece, versions
from specreason_graph.use.page.judging import AT_SIGHT, how_judged
from specreason_graph.use.page.model import Asked, Drafted, PageStep, PendingStep, RoleTokens, RunPage, Scale
from specreason_graph.use.page.recorded import Recorded, RecordedSpot, RecordedStep
from specreason_graph.use.page.text import shortened, shown
from specreason_graph.use.page.times import NODES, times_of
from specreason_graph.use.page.words import ENDINGS, REASONS, TURNS, WAITED, WAITS

_TITLE = 80  # characters, as of the next
_NAME = 200
_CHANCE = "random"
"""The policy of a benchmark's control: it accepts at a rate, whatever the score."""


def run_page(record: Mapping[str, Any], about: str = "", *, goes_on: bool = False) -> RunPage:
    """The page of a run from its `loop.report.Report`.

    Args:
        record: of the run, as far as it has come.
        about: what else it is called.
        goes_on: whether more may come.

    Raises:
        ConfigError: a field of the record is missing, or is none of its kind.
    """
    run = checked(Recorded, shown(dict(record)))
    steps = cast(list[Step], [step.model_dump() for step in run.steps])
    accepted, judged = acceptance(steps)
    question, chance = run.question.strip(), run.policy is not None and run.policy.name == _CHANCE
    return RunPage(
        title=" ".join(question[:_TITLE].split()) + "…" * (len(question) > _TITLE) or "A run",
        about=shown(about),
        question=question,
        answer=None if run.answer is None else run.answer.strip(),
        ended=_ended(run, goes_on=goes_on),
        goes_on=goes_on,
        models={role: shortened(name, _NAME) for role, name in run.models.items()},
        seconds=run.seconds,
        accepted=accepted,
        judged=judged,
        draft_share=draft_share(steps),
        tokens={
            role: RoleTokens(
                written=used.completion_tokens,
                discarded=used.discarded_tokens,
                read=used.prompt_tokens,
                cached=used.cached_tokens,
            )
            for role, used in run.usage.items()
        },
        scale=_scale(run.steps),
        steps=[_step(_by_chance(step) if chance else step) for step in run.steps],
        pending=[
            PendingStep(role=it.role, text=it.text.strip("\n"), waits_for=(WAITS if goes_on else WAITED)[it.status])
            for it in run.pending
        ],
        times=times_of(run),
        judging=None if chance else how_judged(run),
    )


def _ended(run: Recorded, *, goes_on: bool) -> str:
    if run.ended is not None and run.ended in ENDINGS:
        return ENDINGS[run.ended]
    if any(it.status == "unsure" for it in run.pending):
        return "a person is asked"
    return "it goes on" if goes_on else "it was stopped"


def _scale(steps: Sequence[RecordedStep]) -> Scale:
    judged = [step for step in steps if step.score is not None]
    values = [value for step in judged for value in (step.score, step.threshold) if value is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low < 0:
        return Scale(low=1.1 * low, high=0.0)
    return Scale(low=0.0, high=1.0 if high <= 1 else 9.0 if high <= 9 else high)


def _step(step: RecordedStep) -> PageStep:
    decision = None if step.accepted is None else "accepted" if step.accepted else "rejected"
    drafted, kept = _texts(step)
    return PageStep.model_validate(
        {
            "index": step.index,
            "source": step.source,
            "decision": decision,
            "why": _why(step),
            "human": step.human,
            "score": step.score,
            "threshold": step.threshold,
            "drafted": drafted,
            "kept": kept,
            "by_hand": step.source == "human" and step.accepted is None,
            "cut": step.cut,
            "tokens": {"draft": step.draft_tokens, "base": step.base_tokens},
            "seconds": {role: step.seconds[node] for role, node in NODES.items() if node in step.seconds},
        }
    )


def _by_chance(step: RecordedStep) -> RecordedStep:
    """Without a number that nothing was compared with as it says."""
    rejected = step.reject_reason not in (None, *AT_SIGHT)
    return step.model_copy(update={"score": None, "reject_reason": "by chance" if rejected else step.reject_reason})


def _why(step: RecordedStep) -> str:
    if step.reject_reason is not None:
        return REASONS.get(cast(RejectReason, step.reject_reason), shortened(step.reject_reason, _NAME))
    if step.accepted is None and step.source == "base":
        return TURNS.get(cast(GateReason, step.gate.get("why")), "base's turn")
    return ""


def _texts(step: RecordedStep) -> tuple[Drafted | None, list[Piece] | None]:
    """What the draft wrote, and what was kept in its place if not that."""
    text, lead = _stripped(step.text)
    if step.source == "draft":
        return _drafted(step, [Piece(text=text, differs=False)], lead), None
    if step.rejected_text is None:
        return None, [Piece(text=text, differs=False)]
    rejected, lead = _stripped(step.rejected_text)
    both = versions(rejected, text)
    return _drafted(step, both.drafted, lead), both.kept


def _drafted(step: RecordedStep, pieces: list[Piece], lead: int) -> Drafted:
    spots = [(spot, _start(step, spot)) for spot in step.spots or [] if spot.text]
    known = len(step.draft_starts) == len(step.draft_logprobs)
    end = lead + sum(len(piece.text) for piece in pieces)  # of what is shown
    drafted = zip(step.draft_starts, step.draft_logprobs, strict=True) if known else ()
    tokens = [(start - lead, round(logprob, 3)) for start, logprob in drafted if start < end]
    return Drafted(
        pieces=pieces,
        starts=[start for start, _ in tokens],
        logprobs=[logprob for _, logprob in tokens],
        asked=[
            Asked(
                start=start - lead,
                length=len(spot.text),
                base=spot.base_logprob,
                draft=spot.draft_logprob,
                at_most=spot.at_most,
                lead=spot.lead,
            )
            for spot, start in spots
            if start is not None and start < end
        ],
    )


def _start(step: RecordedStep, spot: RecordedSpot) -> int | None:
    """Older records have the token's number alone, which is the draft's where both models have one tokenizer."""
    if spot.start is not None or step.tokens != len(step.draft_starts):
        return spot.start
    return step.draft_starts[spot.place] if spot.place < len(step.draft_starts) else None


def _stripped(text: str) -> tuple[str, int]:
    """A step without the blank lines around it, and how many characters were before it."""
    ahead = len(text) - len(text.lstrip("\n"))
    return text.strip("\n"), ahead
