"""Speculative decoding inside base, in figures: what a pass gives and costs."""

from __future__ import annotations

import random
from statistics import fmean

import pytest

from specreason_graph.tools.decoding import Counts, Decoding, counts, expected_tokens, passes, tokens_a_pass

METRICS = """# HELP vllm:spec_decode_num_drafts_total Number of spec decoding drafts.
# TYPE vllm:spec_decode_num_drafts_total counter
vllm:spec_decode_num_drafts_total{engine="0",model_name="m"} 100.0
vllm:spec_decode_num_drafts_total{engine="1",model_name="m"} 20.0
vllm:spec_decode_num_draft_tokens_total{engine="0",model_name="m"} 480.0
vllm:spec_decode_num_accepted_tokens_total{engine="0",model_name="m"} 1.8e+02
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="0"} 90.0
vllm:spec_decode_num_drafts_created{engine="0",model_name="m"} 1.7e+09
"""


@pytest.mark.parametrize(
    ("matches", "given"),
    [
        ("", []),
        ("0", [1]),
        ("1", [1]),
        ("000", [1, 1, 1]),
        ("110", [3]),
        ("1101", [3, 1]),
        ("11111111", [4, 4]),
        ("0111", [1, 3]),
    ],
)
def test_a_pass_gives_what_matches_and_one_token_of_its_own(matches: str, given: list[int]) -> None:
    assert list(passes(matches, proposed=3)) == given
    assert sum(given) == len(matches)


def test_where_tokens_come_in_runs_a_mean_rate_says_too_much() -> None:
    """Guards the estimate: at one rate, hard tokens in a row cost more passes than hard ones here and there."""
    assert expected_tokens(0.8) == pytest.approx(1 + 0.8 + 0.64 + 0.512 + 0.4096 + 0.32768)
    assert tokens_a_pass(["1" * 80 + "0" * 20]) < expected_tokens(0.8) < tokens_a_pass(["11110" * 20])


def test_seconds_a_token_count_the_proposals() -> None:
    assert Decoding(tokens_a_pass=3.0, proposed=5).seconds_a_token(0.020, 0.002) == pytest.approx(0.010)
    assert Decoding(tokens_a_pass=1.5, proposed=4).seconds_a_token(0.030, 0) == pytest.approx(0.020)


def test_a_pass_gives_no_more_than_was_proposed_and_one() -> None:
    with pytest.raises(ValueError, match=r"3 proposed tokens and one of its own at most, not 4\.5"):
        Decoding(tokens_a_pass=4.5, proposed=3)


@pytest.mark.parametrize(("tokens", "beyond"), [(1.0, 0.0), (6.0, 2.5)])
def test_what_is_dropped_behind_a_texts_end_is_none_or_half_a_pass(tokens: float, beyond: float) -> None:
    """The two ends: a token a pass, and passes that all give six, of which the last is cut anywhere."""
    assert Decoding(tokens_a_pass=tokens).beyond == pytest.approx(beyond, abs=0.01)


def test_what_is_dropped_behind_a_texts_end_is_what_walking_the_passes_shows() -> None:
    """Guards the reckoning, on texts whose tokens match by chance, cut at every place."""
    draw = random.Random(0)
    matches = "".join(str(int(draw.random() < 0.8)) for _ in range(4000))
    decoding = Decoding(tokens_a_pass=tokens_a_pass([matches]))
    beyond = [
        len(list(passes(matches[at : at + 22]))) * decoding.tokens_a_pass - 22 for at in range(0, len(matches) - 22, 5)
    ]
    assert decoding.beyond == pytest.approx(fmean(beyond), abs=0.15)


def test_counts_are_read_off_a_servers_metrics() -> None:
    """Over its engines, and neither positions nor times of creation are taken for counts."""
    told = counts(METRICS)
    assert told == Counts(passes=120, proposed=480, accepted=180)
    assert told.decoding == Decoding(tokens_a_pass=2.5, proposed=4)


def test_a_server_that_decodes_plainly_or_has_not_decoded_yet_tells_none() -> None:
    assert counts("vllm:generation_tokens_total 7.0\n") is None
    assert Counts(0, 0, 0).decoding is None
