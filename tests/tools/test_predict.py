"""The formula for the speed-up: its limits are those that one can see without it."""

import pytest

from specreason_graph.contract.errors import checked
from specreason_graph.tools.predict import MODES, Mode, Steps, Timings, least_acceptance, speedup
from specreason_graph.tools.profiles import profiles

FAST = Timings(base_token=0.02, base_first=0.02, draft_token=0.002, draft_first=0.002, judge=0.03)


@pytest.mark.parametrize("mode", ["sequential", "look_ahead"])
def test_nothing_accepted_costs_a_draft_and_a_verdict_beside_every_step(mode: Mode) -> None:
    step = 20 * 0.02
    assert speedup(FAST, Steps(acceptance=0, drafted=20, written=20), mode) == pytest.approx(
        step / (step + 0.04 + 0.03)
    )


@pytest.mark.parametrize("mode", ["hedge", "both"])
def test_a_hedge_costs_nothing_where_nothing_is_accepted(mode: Mode) -> None:
    """Base runs on from one of its own steps to the next, as it would alone."""
    assert speedup(FAST, Steps(acceptance=0, drafted=20, written=20), mode) == pytest.approx(1.0)


def test_everything_accepted_takes_as_long_as_draft_or_judge() -> None:
    """With look-ahead the slower of the two is all that is left; in turn, their sum."""
    steps = Steps(acceptance=1, drafted=20, written=20)
    assert speedup(FAST, steps, "both") == pytest.approx(0.4 / 0.04)
    assert speedup(FAST.model_copy(update={"judge": 0.1}), steps, "both") == pytest.approx(0.4 / 0.1)
    assert speedup(FAST, steps, "sequential") == pytest.approx(0.4 / 0.07)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("profile", profiles())
def test_more_acceptance_is_never_slower(profile: str, mode: Mode) -> None:
    gains = [speedup(profiles()[profile].timings, Steps(acceptance=percent / 100), mode) for percent in range(101)]
    assert gains == sorted(gains)


def test_where_it_pays_is_where_the_speed_up_passes_one() -> None:
    for mode in MODES:
        least = least_acceptance(FAST, mode)
        assert least is not None
        assert speedup(FAST, Steps(acceptance=least), mode) > 1
        assert least == 0 or speedup(FAST, Steps(acceptance=least - 0.01), mode) <= 1
    assert least_acceptance(FAST.model_copy(update={"draft_token": 0.03}), "sequential") is None


def test_accepts_that_come_together_gain_with_a_hedge() -> None:
    """Behind a reject a draft has to begin; with look-ahead alone that is as often so however they are spread."""
    spread = [Steps(acceptance=0.5, after_accept=at) for at in (0.5, 0.9)]
    alone, together = (speedup(FAST, steps, "both") for steps in spread)
    assert together > alone
    assert len({round(speedup(FAST, steps, "look_ahead"), 9) for steps in spread}) == 1


def test_acceptance_that_cannot_be_is_refused() -> None:
    with pytest.raises(Exception, match="more must come behind accepted steps"):
        checked(Steps, {"acceptance": 0.9, "after_accept": 0.1})
