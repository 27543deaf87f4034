"""From what base said about a step to accept or reject. Pure functions: any recorded step can be judged again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from statistics import fmean

from specreason_graph.contract.evidence import Spot
from specreason_graph.contract.settings import ScoreMethod
from specreason_graph.contract.state import RejectReason
from specreason_graph.endpoint.protocol import Reading

Decision = tuple[bool, float | None, RejectReason | None]
"""Accepted or not, the score, and why not."""


def label_distribution(reading: Reading, label_ids: Mapping[str, int]) -> tuple[dict[str, float], bool]:
    """Probability of each label that the server lists, and whether the likeliest token is a label.

    Probabilities are over the whole vocabulary, so they sum to the label mass; a label below the server's top
    list counts as 0.
    """
    found = {label: exp(reading.logprobs[i]) for label, i in label_ids.items() if i in reading.logprobs}
    probs = {label: probability for label, probability in found.items() if probability}
    return probs, reading.likeliest in label_ids.values()


def label_score(probs: Mapping[str, float], labels: Sequence[str], method: ScoreMethod) -> float:
    """The score in 0..len(labels)-1: the likeliest label's place (paper), the mean, or the median place.

    The median is the highest place t with P(score >= t) >= 0.5, so "median >= threshold" asks whether base holds
    the step for that good more likely than not.
    """
    mass = sum(probs.values())
    weights = [probs.get(label, 0.0) / mass for label in labels]
    if method == "greedy":
        return float(max(range(len(labels)), key=weights.__getitem__))
    if method == "mean":
        return sum(place * weight for place, weight in enumerate(weights))
    at_least = 0.0
    for place in reversed(range(len(labels))):
        at_least += weights[place]
        if at_least >= 0.5:
            return float(place)
    return 0.0


def decide_by_labels(
    probs: Mapping[str, float],
    labels: Sequence[str],
    *,
    says_label: bool,
    method: ScoreMethod,
    threshold: float,
) -> Decision:
    """Accept at or above the threshold; what is no label is a reject with a reason, never a score of 0."""
    if not probs:
        return False, None, "no_labels"
    if not says_label:
        return False, None, "no_label"
    score = label_score(probs, labels, method)
    return (True, score, None) if score >= threshold else (False, score, "score")


def decide_by_likelihood(spots: Sequence[Spot], *, threshold: float, lowest: int = 1) -> Decision:
    """Accept when the asked tokens that base finds least likely, `lowest` of them on average, reach the threshold.

    It is a log-probability. With 1 no asked token may be less likely than that.
    """
    score = likelihood_score([spot["base_logprob"] for spot in spots], lowest)
    return (True, score, None) if score >= threshold else (False, score, "likelihood")


def likelihood_score(logprobs: Sequence[float], lowest: int) -> float:
    """The mean of the `lowest` least likely, or of all where there are fewer; of one at least."""
    return fmean(sorted(logprobs)[:lowest])


def least_sure(logprobs: Sequence[float], count: int, sure: float = 0.0) -> list[int]:
    """Places of the `count` lowest log-probabilities up to `sure`, but of one at least; in rising order of place."""
    lowest = sorted(range(len(logprobs)), key=logprobs.__getitem__)[:count]
    return sorted(at for rank, at in enumerate(lowest) if not rank or logprobs[at] <= sure)


def base_logprob(reading: Reading, token: int) -> tuple[float, bool]:
    """Base's log-probability of a token, and whether it is only an upper bound (not among those listed)."""
    if token in reading.logprobs:
        return reading.logprobs[token], False
    return min(reading.logprobs.values()), True


def likeliest_but(reading: Reading, token: int) -> tuple[int, float] | None:
    """The likeliest of the listed tokens that is not this one, and its log-probability."""
    others = [(logprob, -other) for other, logprob in reading.logprobs.items() if other != token]
    return (-max(others)[1], max(others)[0]) if others else None
