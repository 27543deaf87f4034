"""The formula for the speed-up: its limits are those that one can see without it."""

from __future__ import annotations

import random
from itertools import pairwise
from statistics import fmean

import pytest

from specreason_graph.contract.errors import checked
from specreason_graph.tools.decoding import PROPOSED, Decoding, passes, tokens_a_pass
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


def test_a_base_that_decodes_writes_faster_and_judges_as_before() -> None:
    decoded = FAST.decoded(Decoding(tokens_a_pass=3.0), 0.002)
    assert decoded.base_token == pytest.approx((0.020 + 5 * 0.002) / 3)
    assert (decoded.judge, decoded.base_first, decoded.draft_token) == (FAST.judge, FAST.base_first, FAST.draft_token)


def test_decoding_leaves_the_loop_less_to_gain() -> None:
    """Base's step costs less and the verdict does not: each overlap pays later, and none gains as much."""
    decoded = FAST.decoded(Decoding(tokens_a_pass=3.0), 0.002)
    for mode in MODES:
        plain, on_top = least_acceptance(FAST, mode), least_acceptance(decoded, mode)
        assert plain is not None
        assert on_top is not None
        assert on_top >= plain
        assert speedup(decoded, Steps(acceptance=0.8), mode) < speedup(FAST, Steps(acceptance=0.8), mode)


def matching(rate: float, tokens: int, seed: int) -> str:
    """What matches of a text, hard tokens in a row as in real ones: a token is like the one before it half the time."""
    draw = random.Random(seed)
    found = ["1"]
    while len(found) < tokens:
        found.append(found[-1] if draw.random() < 0.5 else str(int(draw.random() < rate)))
    return "".join(found)


def walked(timings: Timings, proposed_token: float, steps: list[tuple[bool, str]], mode: Mode) -> float:
    """Seconds of a run, step by step and pass by pass; a step is whether it is accepted, and what matches of base's."""
    one_pass, hedges, ahead = timings.base_token + PROPOSED * proposed_token, mode in ("hedge", "both"), False
    own_run, began, behind_own = "", 0.0, False  # what base wrote in one go, since when, and whether it goes on
    now = drafted = 0.0
    for accepted, matches in steps:
        draft = len(matches) * timings.draft_token
        begun = now + timings.draft_first - timings.draft_token + draft
        drafted = drafted + draft if ahead else begun
        verdict = max(drafted, now) + timings.judge
        own_run, began = (own_run + matches, began) if behind_own else (matches, now)
        if accepted:
            now = verdict
        else:
            since = began if hedges else verdict
            text = own_run if hedges else matches
            own = since + timings.base_first + covering(text) * one_pass
            now = max(verdict, own)
        behind_own, ahead = hedges and not accepted, accepted and mode in ("look_ahead", "both")
    return now


def covering(text: str) -> int:
    """Passes behind the first token until all of a text is there."""
    return len(list(passes(text[1:])))


@pytest.mark.parametrize("rate", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("name", profiles())
@pytest.mark.parametrize("mode", MODES)
def test_the_formula_agrees_with_walking_through_the_passes(name: str, mode: Mode, rate: float) -> None:
    """Within 5 % at every acceptance, whatever a pass gives; so too against base that decodes alone."""
    timings, tokens = profiles()[name].timings, 23
    for acceptance in (0.1, 0.4, 0.6, 0.8, 0.95):
        draw = random.Random(f"{rate} {acceptance}")
        text = matching(rate, 800 * tokens, 1)
        steps = [(draw.random() < acceptance, text[at : at + tokens]) for at in range(0, len(text), tokens)]
        decoding = Decoding(tokens_a_pass=tokens_a_pass([text]))
        decoded = timings.decoded(decoding, timings.draft_token)
        alone = timings.base_first + covering(text) * (timings.base_token + PROPOSED * timings.draft_token)
        behind = [after for (before, _), (after, _) in pairwise(steps) if before]
        seen = Steps(acceptance=fmean(accepted for accepted, _ in steps), after_accept=fmean(behind))
        walk = walked(timings, timings.draft_token, steps, mode)
        assert speedup(decoded, seen, mode) == pytest.approx(alone / walk, rel=0.05)
