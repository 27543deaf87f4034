"""From the evidence on a step to named numbers, each the higher the better the step looks. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from statistics import fmean

from specreason_graph.contract.evidence import Evidence, Spot
from specreason_graph.judging.scoring import label_score, likelihood_score

_FLOOR = -20.0  # log-probability; below it a token is just as unlikely
WITHOUT_BASE = ("draft_lowest", "draft_mean", "length", "place", "ends", "agreement")
"""Features that need no request to base (the last one only where base wrote the step too)."""

_RESULT = frozenset("0123456789+-*/=<>^%")


def features(evidence: Evidence, labels: Sequence[str] = ()) -> dict[str, float]:
    """Every feature that this evidence gives; `labels` are those that base was asked for, worst first.

    Log-probabilities are natural. `lowest…` is the least likely asked token in base's eyes, `lowest3` the mean of
    three; `gap…` is base's log-probability minus the draft's own at the same token; `result` tokens hold a digit or
    an operator, `word` tokens do not: words can be unlikely without being wrong. Nothing asked is nothing unlikely.
    `label_score` is the mean place among the labels, `label_greedy` that of the likeliest, both in 0..1.
    """
    own = evidence["draft_logprobs"]
    found = {
        "draft_lowest": _lowest(own),
        "draft_mean": fmean(max(logprob, _FLOOR) for logprob in own) if own else 0.0,
        "length": -log(1 + len(own)),
        "place": float(evidence["place"]),
        "ends": float(evidence["ends"]),
    }
    if evidence["spots"] is not None:
        found |= _of_spots(evidence["spots"])
    if evidence["label_probs"]:
        best = len(labels) - 1
        found["label_score"] = label_score(evidence["label_probs"], labels, "mean") / best
        found["label_greedy"] = label_score(evidence["label_probs"], labels, "greedy") / best
    if evidence["label_mass"] is not None:
        found["label_mass"] = evidence["label_mass"]
    if evidence["agreement"] is not None:
        found["agreement"] = evidence["agreement"]
    return found


def _of_spots(spots: Sequence[Spot]) -> dict[str, float]:
    base = [spot["base_logprob"] for spot in spots]
    gaps = [spot["base_logprob"] - (spot["draft_logprob"] or 0.0) for spot in spots]
    return {
        "lowest": _lowest(base),
        "lowest3": _lowest(base, 3),
        "mean": fmean(max(logprob, _FLOOR) for logprob in base) if base else 0.0,
        "lowest_result": _lowest([spot["base_logprob"] for spot in spots if is_result(spot)]),
        "lowest_word": _lowest([spot["base_logprob"] for spot in spots if not is_result(spot)]),
        "gap_lowest": _lowest(gaps),
        "gap_lowest3": _lowest(gaps, 3),
        "gap_mean": fmean(max(gap, _FLOOR) for gap in gaps) if gaps else 0.0,
    }


def is_result(spot: Spot) -> bool:
    """Whether a token holds a digit or an operator."""
    return not _RESULT.isdisjoint(spot["text"])


def _lowest(logprobs: Sequence[float], count: int = 1) -> float:
    return likelihood_score([max(logprob, _FLOOR) for logprob in logprobs], count) if logprobs else 0.0
