"""Speculative decoding inside base, in figures: what a pass gives and costs."""

from __future__ import annotations

import pytest

from specreason_graph.tools.decoding import Decoding, expected_tokens, passes, tokens_a_pass


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
