"""Judging recorded steps again, without any model: what another policy or threshold would have accepted."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import TypedDict

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.state import Evidence, Spot, Step
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
    asked, unasked = len(_spots(step)[0]), step["unasked"]
    if asked < judge.spots and unasked is not None and unasked <= judge.sure:
        raise ConfigError(
            f"spots: step {step['index']} was judged on {asked}, and this judge asks for more: lower `spots` to "
            f"{asked}, or take a judge whose `sure` is below {unasked:.3g}"
        )
    return policy.decide(_asked_by(judge, step), before)


def _asked_by(judge: Judge, step: Step) -> Evidence:
    """The step's evidence with no more spots than the judge asks about."""
    evidence = step.copy()
    if judge.spots:
        inner, end = _spots(step)
        kept = least_sure([spot["draft_logprob"] or 0.0 for spot in inner], judge.spots, judge.sure)
        evidence["spots"] = [*(inner[at] for at in kept), *end]
    return evidence


def _spots(step: Step) -> tuple[list[Spot], list[Spot]]:
    """Those inside the step, and the one at its end, which is there when the step ends the reasoning."""
    spots = step["spots"] or []
    inside = len(spots) - 1 if spots and step["ends"] else len(spots)
    return spots[:inside], spots[inside:]
