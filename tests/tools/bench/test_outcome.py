"""The names of arms: what they say, and which there are not."""

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings
from specreason_graph.tools.bench.comparisons import compared
from specreason_graph.tools.bench.outcome import chosen_by, parts_of


@pytest.mark.parametrize(
    ("arm", "parts"),
    [
        ("base", ("base", None, False, None)),
        ("base+decode", ("base", None, True, None)),
        ("ours@-2.5", ("ours", None, False, -2.5)),
        ("ours+decode@0.8", ("ours", None, True, 0.8)),
        ("ours:yes-no", ("ours", "yes-no", False, None)),
        ("ours:likelihood+paper+decode@0.8", ("ours", "likelihood+paper", True, 0.8)),
        ("random+decode@0.5", ("random", None, True, 0.5)),
    ],
)
def test_a_name_says_method_judge_decoding_and_threshold(arm: str, parts: object) -> None:
    assert parts_of(arm) == parts
    assert parts_of(arm).plain == arm.partition("@")[0]


@pytest.mark.parametrize(
    "arm",
    [
        "theirs",
        "draft+decode",
        "base@3",
        "base+decode@3",
        "ours@",
        "ours@0.8+decode",
        "ours+decode+decode",
        "+decode",
        "ours:",
        "base:yes-no",
        "paper:strict@7",
        ":yes-no",
        "ours:@0.5",
    ],
)
def test_any_other_name_is_refused(arm: str) -> None:
    """A draft alone, too: it asks nothing of base, however that decodes."""
    with pytest.raises(ConfigError, match=r"arm: there is no .*ours\+decode@0\.8"):
        parts_of(arm)


def test_an_arm_sets_the_same_where_base_decodes_speculatively() -> None:
    """So that recorded steps of such an arm are judged again as they were."""
    for arm in ("ours", "paper", "random@0.5", "ours@0.8"):
        method, at, threshold = arm.partition("@")
        assert chosen_by(f"{method}+decode{at}{threshold}") == chosen_by(arm)


def test_an_arm_may_have_a_judge_with_its_own_threshold_or_a_fitted_policy() -> None:
    """Whatever the run chose; so one run tells of several on the same problems."""
    chosen = Settings(judge="paper", score_method="mean", threshold=6, spots=4)
    by_score = chosen.overridden(by=chosen_by("ours:likelihood"))
    assert (by_score.judge, by_score.policy, by_score.threshold) == ("likelihood", "threshold", None)
    fitted = chosen.overridden(by=chosen_by("ours:mine@0.8"))
    assert (fitted.policy, fitted.threshold) == ("mine", 0.8)
    assert (fitted.judge, fitted.score_method, fitted.spots) == (None, None, None)


def test_ours_by_another_judge_is_compared_with_ours_and_with_chance() -> None:
    arms = ["base", "ours", "ours@-3", "ours:mine@0.8", "random@0.5"]
    assert compared(arms)[4:] == [
        ("ours", "random@0.5"),
        ("ours:mine@0.8", "ours"),
        ("ours:mine@0.8", "random@0.5"),
    ]


def test_everything_is_compared_with_both_baselines_and_ours_with_its_rivals_on_the_same_server() -> None:
    arms = ["base", "base+decode", "paper", "ours", "ours+decode", "ours+decode@0.8", "random+decode@0.5"]
    others = arms[2:]
    assert compared(arms) == [
        ("base+decode", "base"),
        *((arm, "base") for arm in others),
        *((arm, "base+decode") for arm in others),
        ("ours", "paper"),
        ("ours+decode", "random+decode@0.5"),
    ]
    assert compared(["base+decode", "ours+decode"]) == [("ours+decode", "base+decode")]
