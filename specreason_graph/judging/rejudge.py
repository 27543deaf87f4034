"""Judging recorded steps again, without any model: what another policy or threshold would have accepted."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import TypedDict

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.evidence import Evidence, Spot
from specreason_graph.contract.state import Step
from specreason_graph.judging.policy import Policy
from specreason_graph.judging.scoring import Decision, least_sure
from specreason_graph.models.presets import Judge

_AT_SIGHT = ("empty", "loop")  # no evidence was asked for, and no policy decides


class Rejudged(TypedDict):
    """Recorded steps by what was decided, and what would have been."""

    judged: int
    accepted: int
    """In the recorded runs."""
    would_accept: int
    newly_accepted: int
    newly_rejected: int


def rejudge(steps: Sequence[Step], judge: Judge, policy: Policy) -> Rejudged:
    """Decide anew on every step that was judged.

    Only the decisions are made again: after the first one that differs, the reasoning would have gone on otherwise.

    Raises:
        ConfigError: the runs do not hold the evidence that this judge asks for.
    """
    judged = [step for step in steps if step["accepted"] is not None and step["reject_reason"] not in _AT_SIGHT]
    _check_spots(judged, judge)
    pairs = [
        (step["accepted"], decided_again(step, judge, policy, steps[max(0, at - step["index"]) : at])[0])
        for at, step in enumerate(steps)
        if step["accepted"] is not None
    ]
    return Rejudged(
        judged=len(pairs),
        accepted=sum(before for before, _ in pairs),
        would_accept=sum(after for _, after in pairs),
        newly_accepted=sum(after and not before for before, after in pairs),
        newly_rejected=sum(before and not after for before, after in pairs),
    )


def decided_again(step: Step, judge: Judge, policy: Policy, before: Sequence[Step] = ()) -> Decision:
    """What `policy` makes of a judged step's recorded evidence, behind the steps `before`.

    Raises:
        ConfigError: the evidence is not there.
    """
    if step["reject_reason"] in _AT_SIGHT:
        return False, None, step["reject_reason"]
    if not step["tokens"] and step["spots"] is None:  # a bare end that a label judge let pass unasked, before 0.2
        return bool(step["accepted"]), None, None
    labels = step["label_probs"]
    others = judge.labels and step["tokens"] and (labels is None or not labels.keys() <= set(judge.labels))
    if (judge.spots and step["spots"] is None) or others:
        raise ConfigError(
            f"judge: step {step['index']} was not judged by {judge.name!r}, so the run does not hold what it asks for"
        )
    _check_spots([step], judge)
    return policy.decide(_asked_by(judge, step), before)


def _check_spots(steps: Sequence[Step], judge: Judge) -> None:
    """Refuse to judge on more spots than were asked about; with what would do for all of the steps."""
    asked = [
        (len(_parted(step["spots"] or [], ends=step["ends"])[0]), step["unasked"], step["index"]) for step in steps
    ]
    short = [it for it in asked if it[0] < judge.spots and it[1] is not None and it[1] <= judge.sure]
    if not short:
        return
    fewest, _, index = min(short, key=lambda it: it[0])
    sure = min(unasked for _, unasked, _ in short if unasked is not None)
    lower = f"lower `spots` to {fewest} (--spots {fewest}), or " if fewest else ""
    raise ConfigError(
        f"spots: step {index} was judged on {fewest}, and this judge asks for {judge.spots}: {lower}take a judge whose "
        f"`sure` is below {sure:.3g}"
    )


def _asked_by(judge: Judge, step: Step) -> Evidence:
    """The step's evidence with no more spots than the judge asks about."""
    evidence = step.copy()
    if judge.spots:
        evidence["spots"] = narrowed(step["spots"] or [], judge.spots, judge.sure, ends=step["ends"])
    return evidence


def narrowed(spots: Sequence[Spot], most: int, sure: float, *, ends: bool) -> list[Spot]:
    """Those of a step's spots that a judge of so many, and of tokens up to `sure`, would have asked about."""
    inner, end = _parted(spots, ends=ends)
    kept = least_sure([spot["draft_logprob"] or 0.0 for spot in inner], most, sure)
    return [*(inner[at] for at in kept), *end]


def _parted(spots: Sequence[Spot], *, ends: bool) -> tuple[Sequence[Spot], Sequence[Spot]]:
    """Those inside the step, and the one at its end, which is there when the step ends the reasoning."""
    inside = len(spots) - 1 if spots and ends else len(spots)
    return spots[:inside], spots[inside:]
