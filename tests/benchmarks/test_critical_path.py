"""What efficiency is measured by: each mode's longest chain of calls, worked out by hand for a few steps."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from statistics import fmean

import pytest
from critical_path import Lengths, base_alone, critical_path
from paced_decoding import accepted, decoder
from paced_runs import BASE, JUDGE, MODES, PRESET, unavoidable
from paced_traces import Trace, TraceStep, synthetic

from specreason_graph import Pair
from specreason_graph.testing import Decoder, Script, scripted_pair
from specreason_graph.testing.pace import PLAIN
from specreason_graph.tools.decoding import Decoding, tokens_a_pass
from specreason_graph.tools.predict import Mode, Steps, speedup
from specreason_graph.tools.profiles import Profile, profiles

LENGTHS = Lengths(opening=64, request=70, cue=2, answer=3)
# Base prefills 1000 tokens a second and the draft 10,000; a round trip is 10 ms, a token 100 ms and 10 ms.
ROUND = Profile(
    hardware="", base_ms=100, draft_ms=10, judge_ms=211, judge_tokens=101, round_trip_ms=10, per_sequence=0.01,
    budget=2048, tokens_a_pass=5.0, source={},
)  # fmt: skip
ACCEPTED, REJECTED = TraceStep(16, 16, True), TraceStep(16, 16, False)
ANSWER = 0.01 + 0.3  # and its prefill


@cache
def logged(acceptance: float) -> list[Trace]:
    """Traces whose accepts come together as logged ones do."""
    return [synthetic(acceptance, steps=200, tokens=23, seed=seed) for seed in range(4)]


def path(mode: str, *steps: TraceStep) -> float:
    """Milliseconds of the reasoning: the answer's call is taken off, its prefill is not."""
    return 1000 * (critical_path(Trace(steps, 0), ROUND, LENGTHS, MODES[mode]) - ANSWER)


def test_base_alone_is_two_calls() -> None:
    """Guards what every ratio is against: one generation, and the answer behind the closed reasoning."""
    seconds = base_alone(Trace((ACCEPTED, REJECTED), 0), ROUND, LENGTHS)
    assert seconds == pytest.approx((0.01 + 0.064 + 33 * 0.1) + (ANSWER + 0.002))  # all but the cue is cached


def test_the_loop_in_the_paper() -> None:
    """Guards the plain sum: draft, judge and, on a reject, base."""
    draft, judge = (10 + 6.4 + 17 * 10), (10 + 100 + 64 + 16 + 70)
    assert path("sequential", ACCEPTED) == pytest.approx(draft + judge + 2)
    base = 10 + 17 * 100 + 16  # the last token of a prompt is always read, and with it its block
    assert path("sequential", REJECTED) == pytest.approx(draft + judge + base + 2)


def test_look_ahead_hides_the_shorter_of_draft_and_judge() -> None:
    """Guards the gain: behind an accept, the draft goes on without a call, and the opening is cached by then."""
    draft, judge, next_judge = (10 + 6.4 + 16 * 10), (10 + 100 + 64 + 16 + 70), (10 + 100 + 16 + 70)
    assert path("look_ahead", ACCEPTED, ACCEPTED) == pytest.approx(draft + judge + next_judge + 2)


def test_a_hedged_reject_costs_what_base_alone_would() -> None:
    """Guards the promise never to be slower: draft and judge are hidden behind base's own version."""
    steps = (REJECTED, REJECTED, REJECTED)
    alone = 1000 * (base_alone(Trace(steps, 0), ROUND, LENGTHS) - ANSWER)
    assert path("hedge", *steps) == pytest.approx(alone, abs=1)
    assert path("both", *steps) == pytest.approx(alone, abs=1)


@pytest.mark.parametrize("name", profiles())
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("decodes", [False, True], ids=["plain", "decode"])
def test_the_formula_of_predict_agrees(name: str, mode: Mode, decodes: bool) -> None:
    """Within 5 % of the longest chain of calls, over traces whose accepts come together as logged ones do, and with
    the shipped texts' proposals as they come."""
    profile, texts = profiles()[name], accepted()
    timings, inside = profile.timings, PLAIN
    if decodes:
        decoding = Decoding(tokens_a_pass=tokens_a_pass([texts.whole], texts.proposed), proposed=texts.proposed)
        timings, inside = (
            timings.decoded(decoding, profile.step("draft")),
            decoder(profile, texts.whole, texts.proposed),
        )
    for acceptance in (0.1, 0.2, 0.4, 0.6, 0.8, 0.95):
        traces = logged(acceptance)
        pairs = [pair for trace in traces for pair in pairwise(step.accepted for step in trace.steps)]
        behind = [after for before, after in pairs if before]
        steps = Steps(
            acceptance=fmean(step.accepted for trace in traces for step in trace.steps),
            after_accept=sum(behind) / len(behind),
        )
        seconds = [sum(unavoidable(trace, profile, LENGTHS, way, inside) for trace in traces) for way in (BASE, mode)]
        assert speedup(timings, steps, mode) == pytest.approx(seconds[0] / seconds[1], rel=0.05)


TWO = Decoder(gives=(2,), proposed=1, seconds=0.02)
"""A pass takes 120 ms then, and gives two tokens."""


def test_a_decoder_takes_passes_and_not_tokens() -> None:
    """Guards the second baseline: the first token comes alone, then pass after pass with its proposals."""
    seconds = base_alone(Trace((ACCEPTED, REJECTED), 0), ROUND, LENGTHS, TWO)
    assert seconds == pytest.approx((0.01 + 0.064 + 0.1 + 16 * 0.12) + (0.01 + 0.002 + 0.1 + 0.12))


def test_a_decoder_is_where_its_text_is() -> None:
    """Guards the order of the measured tokens: the opening has 64, so the first pass begins at place 65."""
    hard_end = Decoder(gives=(*[4] * 68, *[1] * 32), proposed=3, seconds=0.02)  # places 65 to 68, and then ones
    seconds = base_alone(Trace((ACCEPTED,), 0), ROUND, LENGTHS, hard_end)
    assert seconds == pytest.approx((0.01 + 0.064 + 0.1 + (1 + 12) * 0.12) + (0.01 + 0.002 + 0.1 + 2 * 0.12))


def test_the_loop_with_a_decoder() -> None:
    """Guards ours+decode: draft and judge cost what they did, base's step half its passes."""
    draft, judge, base = (10 + 6.4 + 17 * 10), (10 + 100 + 64 + 16 + 70), (10 + 16 + 100 + 8 * 120)
    answer = 1000 * (0.01 + 0.002 + 0.1 + 0.12)

    def path(mode: str) -> float:
        return 1000 * critical_path(Trace((REJECTED,), 0), ROUND, LENGTHS, MODES[mode], TWO) - answer

    assert path("sequential") == pytest.approx(draft + judge + base)
    assert path("hedge") == pytest.approx(10 + 64 + 100 + 8 * 120)  # base began with the draft, and hides it


@pytest.mark.parametrize("name", profiles())
@pytest.mark.parametrize("decoder", [PLAIN, Decoder((3, 2, 1, 1), 2, 0.006)], ids=["plain", "decode"])
def test_each_overlap_only_saves(name: str, decoder: Decoder) -> None:
    """Guards against a path that counts something twice: less waiting can't take longer, on any profile."""
    for acceptance in (0.1, 0.4, 0.8):
        trace = synthetic(acceptance, steps=20, tokens=23)
        took = {mode: critical_path(trace, profiles()[name], LENGTHS, MODES[mode], decoder) for mode in MODES}
        assert took["both"] <= min(took["look_ahead"], took["hedge"])
        assert max(took["look_ahead"], took["hedge"]) <= took["sequential"]
        assert took["both"] < base_alone(trace, profiles()[name], LENGTHS, decoder)


@pytest.mark.parametrize("name", profiles())
def test_a_profile_says_where_each_figure_comes_from(name: str) -> None:
    """Guards honesty, and the derived speed of the prefill: a judge's call costs what the profile says."""
    profile = profiles()[name]
    assert profile.source.keys() == set(Profile.model_fields) - {"hardware", "source"}
    judge = profile.round_trip + profile.step("base") + profile.judge_tokens / profile.prompt_tokens_per_second("base")
    assert 1000 * judge == pytest.approx(profile.judge_ms)


async def test_the_judges_request_is_as_long_as_the_papers() -> None:
    """Guards judge_tokens of the profiles: 70 tokens of request, markup included."""
    async with scripted_pair(Script([]), Script([]), template="think") as servers, Pair(servers.config) as pair:
        assert len((await pair.judge_request(JUDGE, PRESET)).suffix) == 70
