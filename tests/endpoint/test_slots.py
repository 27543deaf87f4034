"""A run finds its own prefix cache again among the slots of a llama.cpp server, and leaves those of others alone."""

from __future__ import annotations

import pytest

from specreason_graph.endpoint.slots import Slots


def prompt(run: int, tokens: int = 40) -> list[int]:
    """What a run has its model read: its own from the first tokens on, behind a template's opening."""
    return [1, 2, 3, *range(1000 * run, 1000 * run + tokens)]


def used(slots: Slots, ids: list[int]) -> int:
    with slots.one_for(ids) as slot:
        return slot


def test_a_run_comes_back_to_its_slot_and_another_run_gets_another_one() -> None:
    """In turns, one request at a time: no slot is ever busy, and yet each run has its own."""
    slots = Slots(3)
    first = {run: used(slots, prompt(run)) for run in (1, 2, 3)}
    assert sorted(first.values()) == [0, 1, 2]
    for tokens in (44, 60, 52):  # grown by a step, by a judge's request, and the latter taken off again
        for run in (2, 1, 3):
            assert used(slots, prompt(run, tokens)) == first[run]


def test_a_step_longer_than_its_prompt_does_not_lose_the_slot() -> None:
    """A short question with a long first step: all that the slot holds is the beginning of the prompt."""
    slots = Slots(2)
    assert used(slots, prompt(1, 40)) == used(slots, prompt(1, 100))


def test_runs_at_the_same_time_do_not_share_a_slot() -> None:
    slots = Slots(2)
    with slots.one_for(prompt(1)) as one, slots.one_for(prompt(2)) as other:
        assert {one, other} == {0, 1}


def test_with_all_busy_a_run_is_still_sent_to_its_own_slot() -> None:
    """To wait for its prefix is quicker than to read it anew and to throw out another run's."""
    slots = Slots(2)
    with slots.one_for(prompt(1)) as one, slots.one_for(prompt(2)) as other:
        assert used(slots, prompt(1, 50)) == one
        assert used(slots, prompt(2, 50)) == other


def test_a_new_run_prefers_an_idle_slot_to_an_older_busy_one() -> None:
    slots = Slots(2)
    with slots.one_for(prompt(1)) as busy:
        idle = used(slots, prompt(2))
        assert used(slots, prompt(3)) == idle != busy


def test_the_slot_that_was_used_least_recently_is_taken_first() -> None:
    """By use, not by number: the run whose prefix is thrown out is the one that has probably ended."""
    slots = Slots(3)
    first, second, third = (used(slots, prompt(run)) for run in (1, 2, 3))
    used(slots, prompt(1, 50))
    assert used(slots, prompt(4)) == second
    assert used(slots, prompt(5)) == third
    assert used(slots, prompt(6)) == first


def test_a_failed_request_frees_its_slot() -> None:
    """Else every failure would take a slot out of use for good."""
    slots = Slots(2)
    with pytest.raises(ValueError), slots.one_for(prompt(1)) as failed:
        raise ValueError
    used(slots, prompt(2))
    with slots.one_for(prompt(3)) as third, slots.one_for(prompt(4)) as fourth:
        assert {third, fourth} == {0, 1}
        assert third == failed
