"""What the runs of a pair see of base's server."""

from collections.abc import Callable

import pytest

from specreason_graph.generation.load import Load


def test_runs_count_while_they_are_at_work() -> None:
    load = Load()
    with load.run(), load.run():
        assert load.seen().runs == 2
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


def test_a_judge_is_not_charged_for_the_pass_that_it_waits_for() -> None:
    load = Load()
    load.wrote(10, 0.5)
    load.judged(0.15)
    assert load.seen().judge_seconds == pytest.approx(0.1)


def test_acceptance_is_by_tokens() -> None:
    """A short step that passes says less than a long one that doesn't."""
    short, long = Load(), Load()
    for load, tokens in ((short, 4), (long, 80)):
        for _ in range(5):
            load.decided(20, accepted=False)
        load.decided(tokens, accepted=True)
    assert 0 < (short.seen().acceptance or 0) < (long.seen().acceptance or 0)


def test_a_servers_word_on_its_queue_holds_for_some_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("specreason_graph.generation.load.time.monotonic", lambda: now)
    load = Load()
    load.told(7)
    assert load.seen().waiting == 7
    now = 200.0
    assert load.seen().waiting == 0
