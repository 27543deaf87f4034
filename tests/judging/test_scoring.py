"""From what base said to accept or reject."""

from math import log

import pytest

from specreason_graph.contract.evidence import Spot
from specreason_graph.endpoint.protocol import Reading
from specreason_graph.judging.scoring import (
    base_logprob,
    decide_by_labels,
    decide_by_likelihood,
    label_distribution,
    label_score,
    least_sure,
    likeliest_but,
)

LABELS = tuple("0123456789")
# A judge that can't decide, as QwQ's median one: the likeliest digit, the mean and the median all differ.
UNDECIDED = {"0": 0.30, "5": 0.15, "7": 0.20, "8": 0.25, "9": 0.10}


def test_methods_read_one_distribution_differently() -> None:
    assert label_score(UNDECIDED, LABELS, "greedy") == 0
    assert label_score(UNDECIDED, LABELS, "mean") == pytest.approx(0.75 + 1.4 + 2.0 + 0.9)
    assert label_score(UNDECIDED, LABELS, "median") == 7


def test_mean_and_median_do_not_depend_on_the_label_mass() -> None:
    halved = {label: p / 2 for label, p in UNDECIDED.items()}
    for method in ("mean", "median"):
        assert label_score(halved, LABELS, method) == pytest.approx(label_score(UNDECIDED, LABELS, method))


@pytest.mark.parametrize(("threshold", "accepted"), [(7, True), (7.0, True), (8, False)])
def test_a_score_at_the_threshold_is_accepted(threshold: float, accepted: bool) -> None:
    decision = decide_by_labels({"7": 0.9}, LABELS, says_label=True, method="greedy", threshold=threshold)
    assert decision == (accepted, 7.0, None if accepted else "score")


def test_a_token_that_is_no_label_is_a_reject_with_a_reason_and_no_score() -> None:
    """The authors' script scores it 0, so that a broken judge looks like a strict one."""
    decision = decide_by_labels({"9": 0.2}, LABELS, says_label=False, method="greedy", threshold=0)
    assert decision == (False, None, "no_label")


def test_a_distribution_without_labels_is_a_reject_with_a_reason() -> None:
    assert decide_by_labels({}, LABELS, says_label=False, method="mean", threshold=0) == (False, None, "no_labels")


def test_label_distribution_keeps_the_mass_that_labels_have() -> None:
    ids = {label: 100 + i for i, label in enumerate(LABELS)}
    probs, says_label = label_distribution(Reading(7, {7: log(0.5), 109: log(0.3), 101: log(0.1)}), ids)
    assert probs == {"9": pytest.approx(0.3), "1": pytest.approx(0.1)}
    assert not says_label


def test_two_digit_and_superscript_tokens_are_no_labels() -> None:
    """Only the ids of the labels count, never what their text looks like."""
    ids = {label: 100 + i for i, label in enumerate(LABELS)}
    probs, says_label = label_distribution(Reading(500, {500: log(0.9), 501: log(0.05)}), ids)
    assert probs == {}
    assert not says_label


def spot(logprob: float) -> Spot:
    return Spot(text="x", draft_logprob=-1.0, base_logprob=logprob, at_most=False, place=0, alternative=None, lead=None)


@pytest.mark.parametrize(("lowest", "reason"), [(-2.0, None), (-2.01, "likelihood")])
def test_likelihood_goes_by_the_worst_token(lowest: float, reason: str | None) -> None:
    decision = decide_by_likelihood([spot(-0.1), spot(lowest), spot(-0.3)], threshold=-2.0)
    assert decision == (reason is None, lowest, reason)


def test_likelihood_may_go_by_the_mean_of_several_tokens() -> None:
    """One odd word in a step that is likely otherwise costs no reject then; what base rules out still does."""
    spots = [spot(-0.1), spot(-3.0), spot(-0.5), spot(-1.0)]
    assert decide_by_likelihood(spots, threshold=-1.6, lowest=3) == (True, -1.5, None)
    assert decide_by_likelihood(spots[:2], threshold=-1.6, lowest=3) == (True, -1.55, None)  # of those there are
    assert decide_by_likelihood([spot(-20.0), *spots], threshold=-1.6, lowest=3) == (False, -8.0, "likelihood")


def test_least_sure_tokens_come_in_the_order_of_the_text() -> None:
    """One-slot servers then add only the tokens up to the next spot."""
    assert least_sure([-0.1, -5.0, -0.2, -3.0, 0.0], 3) == [1, 2, 3]
    assert least_sure([-0.1], 12) == [0]


def test_tokens_that_the_draft_is_sure_of_are_left_out_but_for_one() -> None:
    """A step without a single asked token would pass unread."""
    assert least_sure([-0.01, -5.0, -0.05, -0.3, 0.0], 12, sure=-0.05) == [1, 2, 3]
    assert least_sure([-0.01, -5.0, -0.05, -0.3, 0.0], 2, sure=-0.05) == [1, 3]
    assert least_sure([-0.01, -0.02, 0.0], 12, sure=-0.05) == [1]
    assert least_sure([], 12, sure=-0.05) == []


def test_the_likeliest_other_token_and_how_likely_it_is() -> None:
    reading = Reading(1, {1: -0.1, 2: -4.0, 3: -4.5})
    assert likeliest_but(reading, 1) == (2, -4.0)
    assert likeliest_but(reading, 2) == likeliest_but(reading, 9) == (1, -0.1)
    assert likeliest_but(Reading(1, {1: -0.1}), 1) is None


def test_a_token_below_the_listed_ones_is_at_most_the_last_of_them() -> None:
    reading = Reading(1, {1: -0.1, 2: -4.0})
    assert base_logprob(reading, 2) == (-4.0, False)
    assert base_logprob(reading, 3) == (-4.0, True)
