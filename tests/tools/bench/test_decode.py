"""What a server counts of speculative decoding, and what is made of it: a figure that is known, or none."""

import pytest

from specreason_graph.tools.bench.decode import Decoded, between, counted_tokens_a_pass
from specreason_graph.tools.decoding import Counts


def of(passes: int, accepted: int, *arms: str) -> Decoded:
    return Decoded(passes=passes, proposed=5 * passes, accepted=accepted, arms=list(arms))


def test_a_server_that_was_started_anew_makes_what_was_counted_unknown() -> None:
    """Also where the others have counted more than it has lost."""
    before = [Counts(10, 50, 15), Counts(1, 5, 2)]
    assert between(before, [Counts(14, 70, 25), Counts(2, 10, 2)]) == Counts(5, 25, 10)
    assert between(before, [Counts(94, 470, 125), Counts(0, 0, 0)]) is None


def test_tokens_a_pass_are_of_all_runs_together() -> None:
    assert counted_tokens_a_pass([of(10, 20, "base+decode"), of(30, 20, "base+decode")], {"base+decode"}) == 2.0


@pytest.mark.parametrize(
    "decoded",
    [
        [],
        [of(0, 0, "ours+decode")],
        [of(10, 20, "ours+decode"), None],
        [of(10, 20, "ours+decode", "base+decode")],
    ],
    ids=["not run", "nothing proposed", "not counted", "shared with another arm"],
)
def test_what_is_not_known_is_not_guessed(decoded: list[Decoded | None]) -> None:
    assert counted_tokens_a_pass(decoded, {"ours+decode"}) is None


def test_arms_that_shared_a_server_are_known_together() -> None:
    arms = ("base+decode", "ours+decode")
    assert counted_tokens_a_pass([of(10, 20, *arms), of(10, 0, *arms)], arms) == 2.0
