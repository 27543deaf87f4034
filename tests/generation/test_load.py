"""What the runs of a pair see of base's server."""

from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest

from specreason_graph.generation.load import Load


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time is its only element."""
    now = [100.0]
    monkeypatch.setattr("specreason_graph.generation.load.time.monotonic", lambda: now[0])
    return now


def test_runs_count_while_they_are_at_work() -> None:
    load = Load()
    with load.run(), load.run():
        assert load.seen().runs == 2
        assert load.seen(between=3).runs == 5
    assert load.seen().runs == 1  # who asks is one


def test_hedges_count_until_they_are_over_and_base_alone_is_none() -> None:
    load = Load()
    over = load.begun(hedges=True)
    load.begun(hedges=False)
    assert load.hedges == 1
    over()
    over()
    assert load.hedges == 0


def test_the_pace_is_a_line_over_the_sequences_at_once() -> None:
    """So that the time a token of 32 can be told where 4 and 16 were seen."""
    load = Load()
    overs: list[Callable[[], None]] = []
    for sequences in [4, 16] * 60:
        while len(overs) < sequences:
            overs.append(load.begun(hedges=False))
        while len(overs) > sequences:
            overs.pop()()
        load.wrote(10, 10 * (0.02 + 0.001 * sequences))
    assert load.seen().sequence_seconds == pytest.approx(0.001, rel=0.2)


def test_what_makes_a_server_look_slow_for_a_moment_counts_little() -> None:
    load = Load()
    for _ in range(20):
        load.wrote(10, 0.2)
    load.wrote(10, 2.0)
    assert (load.seen().token_seconds or 0) < 0.04


def test_a_judge_is_charged_for_its_own_part_of_the_pass_that_it_shares(clock: list[float]) -> None:
    """A pass takes 0.04 s, and 0.02 more for each judge in it; all wait for half of it, and share it."""
    load = Load()
    load.wrote(10, 0.4)
    with ExitStack() as judges:
        for _ in range(4):
            judges.enter_context(load.judging())
        clock[0] += 1.5 * (0.04 + 4 * 0.02)
    assert load.seen().judge_seconds == pytest.approx(0.02)


def test_a_judge_that_seems_quicker_than_a_pass_costs_nothing(clock: list[float]) -> None:
    load = Load()
    load.wrote(10, 0.4)
    with load.judging():
        clock[0] += 0.01
    assert load.seen().judge_seconds == 0


def test_what_judges_took_of_it_is_not_bases_pace(clock: list[float]) -> None:
    load = Load()
    load.wrote(10, 0.4)
    for _ in range(200):
        with load.judging():
            clock[0] += 1.5 * (0.04 + 0.1)
        load.wrote(10, 0.5)  # one judge was within it
        clock[0] += 1
    assert load.seen().token_seconds == pytest.approx(0.04, rel=0.05)


def test_a_judge_that_failed_tells_nothing(clock: list[float]) -> None:
    load = Load()
    with suppress(ValueError), load.judging():
        clock[0] += 9
        raise ValueError
    assert load.seen().judge_seconds is None


def test_acceptance_is_by_tokens() -> None:
    """A short step that passes says less than a long one that doesn't."""
    short, long = Load(), Load()
    for load, tokens in ((short, 4), (long, 80)):
        for _ in range(5):
            load.decided(20, 0.1, accepted=False)
        load.decided(tokens, 0.1, accepted=True)
    assert 0 < (short.seen().acceptance or 0) < (long.seen().acceptance or 0)


def test_one_bad_step_of_many_runs_hardly_changes_what_is_known_of_their_drafts() -> None:
    """All of a batch may meet it at the same moment, and a gate that closed then would have to be probed open."""
    load = Load()
    with ExitStack() as runs:
        for _ in range(32):
            runs.enter_context(load.run())
        for accepted in [True] * 320 + [False] * 32:
            load.decided(20, 0.1, accepted=accepted)
    assert (load.seen().acceptance or 0) > 0.8


def test_the_first_steps_outweigh_what_was_assumed() -> None:
    load = Load()
    for _ in range(40):
        load.decided(20, 0.1, accepted=False)
    assert (load.seen().acceptance or 1) < 0.12


def test_a_servers_word_on_its_queue_holds_for_some_seconds_only(clock: list[float]) -> None:
    load = Load()
    load.told(7)
    assert load.seen().waiting == 7
    clock[0] += 100
    assert load.seen().waiting == 0
