"""Evidence as numbers that a policy can weigh, each the higher the better the step looks."""

from __future__ import annotations

import pytest

from specreason_graph.contract.evidence import Evidence, Spot
from specreason_graph.judging.features import WITHOUT_BASE, features

LABELS = tuple("0123456789")


def spot(text: str, base: float, draft: float | None = -0.5) -> Spot:
    return Spot(text=text, draft_logprob=draft, base_logprob=base, at_most=False, place=0, alternative=None, lead=None)


def evidence(
    *spots: Spot, own: tuple[float, ...] = (-0.1, -0.3), label_probs: dict[str, float] | None = None
) -> Evidence:
    return Evidence(
        label_probs=label_probs,
        label_mass=None if label_probs is None else sum(label_probs.values()),
        says_label=None if label_probs is None else True,
        spots=list(spots) or None,
        unasked=None,
        draft_logprobs=list(own),
        tokens=len(list(own)),
        place=3,
        ends=True,
        agreement=None,
    )


@pytest.mark.parametrize("text", [" 12", "=", " *", "x^", "50%", "3rd"])
def test_a_token_of_a_result_is_told_apart_from_a_word(text: str) -> None:
    """Base may find a word unlikely without its being wrong; what it finds unlikely of a result mostly is."""
    found = features(evidence(spot(text, -3.0), spot(" twelve", -7.0), spot(" legs", -1.0), spot("", -0.5)))
    assert (found["lowest_result"], found["lowest_word"], found["lowest"]) == (-3.0, -7.0, -7.0)
    alone = features(evidence(spot(" twelve", -7.0)))
    assert (alone["lowest_result"], alone["lowest_word"]) == (0.0, -7.0)


def test_the_lowest_three_are_averaged_and_gaps_are_to_the_drafts_own_odds() -> None:
    """A token of which the draft was as unsure is not held against it."""
    found = features(
        evidence(spot("a", -4.0, -4.0), spot("b", -6.0, -1.0), spot("c", -2.0, -0.5), spot("d", -0.1, -3.0))
    )
    assert found["lowest3"] == pytest.approx(-4.0)
    assert found["gap_lowest"] == -5.0
    assert found["gap_lowest3"] == pytest.approx((-5.0 - 1.5 + 0.0) / 3)


def test_what_was_not_asked_for_gives_no_feature() -> None:
    """Else it would be weighed as if base had said it; a policy takes the mean for what is missing."""
    assert set(features(evidence(), LABELS)) == set(WITHOUT_BASE) - {"agreement"}
    of_labels = set(features(evidence(label_probs={"7": 0.5}), LABELS)) - set(WITHOUT_BASE)
    assert of_labels == {"label_score", "label_greedy", "label_mass"}
    assert not of_labels & set(features(evidence(spot("a", -1.0)), LABELS))


def test_a_judge_that_gives_no_label_gives_no_score() -> None:
    """The missing mass is the evidence, not a mark of 0."""
    found = features(evidence(label_probs={}), LABELS)
    assert found["label_mass"] == 0.0
    assert not {"label_score", "label_greedy"} & set(found)


@pytest.mark.parametrize("lowest", [-9999.0, float("-inf")])
def test_what_is_next_to_impossible_does_not_drown_the_rest(lowest: float) -> None:
    """vLLM writes -9999 for minus infinity; one such token would outweigh every other feature."""
    found = features(evidence(spot("1", lowest), spot("2", -1.0), spot("3", -1.0), own=(lowest, -1.0)))
    assert min(found.values()) >= -20.0
    assert found["lowest3"] == pytest.approx(-22.0 / 3)
    assert found["gap_mean"] == pytest.approx(-21.0 / 3)
    assert found["draft_lowest"] == -20.0


@pytest.mark.parametrize(("labels", "score"), [((" No", " Yes"), 0.75), ((" Yes", " No"), 0.25)])
def test_the_score_of_two_labels_is_the_better_ones_share_of_both(labels: tuple[str, str], score: float) -> None:
    """P(better) / (P(better) + P(worse)), however little mass both have; the better one stands last."""
    found = features(evidence(label_probs={" Yes": 0.3, " No": 0.1}), labels)
    assert found["label_score"] == pytest.approx(score)
    assert found["label_greedy"] == round(score)
    assert found["label_mass"] == pytest.approx(0.4)


def test_every_score_is_in_0_to_1() -> None:
    """So that judges of two labels and of ten can be compared."""
    found = features(evidence(label_probs={"7": 0.4, "9": 0.2}), LABELS)
    assert found["label_score"] == pytest.approx((7 * 2 + 9) / 3 / 9)
    assert found["label_greedy"] == pytest.approx(7 / 9)


def test_higher_is_better() -> None:
    """Longer steps, and ones that draft or base is less sure of, are the worse ones; so is disagreement."""
    good = evidence(spot("1", -1.0), spot("a", -1.0), own=(-0.1,), label_probs={"8": 0.9})
    bad = evidence(spot("1", -3.0), spot("a", -3.0), own=(-0.1, -0.5, -0.6), label_probs={"2": 0.9})
    good["agreement"], bad["agreement"] = 1.0, 0.0
    better, worse = features(good, LABELS), features(bad, LABELS)
    same = {"place", "ends", "label_mass"}
    assert all(better[name] > worse[name] for name in set(better) - same)
