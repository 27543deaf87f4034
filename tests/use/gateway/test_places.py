"""Whose turn it is, and who gets no place."""

from __future__ import annotations

import pytest

from specreason_graph.use.gateway.places import Place, Places
from specreason_graph.use.gateway.refusal import Refusal


def has_turn(place: Place) -> bool:
    return place.turn.done() and place.turn.exception() is None


async def test_keys_take_turns_however_many_runs_one_of_them_has_waiting() -> None:
    places = Places(at_once=1, waiting=10)
    [running] = places.ask("many", 1)
    many, few = places.ask("many", 3), places.ask("few", 2)
    order = []
    waiting = {**{place: f"many {at}" for at, place in enumerate(many)}, few[0]: "few 0", few[1]: "few 1"}
    running.leave()
    while waiting:
        [next_one] = [place for place in waiting if has_turn(place)]
        order.append(waiting.pop(next_one))
        next_one.leave()
    assert order == ["many 0", "few 0", "many 1", "few 1", "many 2"]
    assert (places.running, places.waiting) == (0, 0)


async def test_each_sample_is_a_place_and_a_request_gets_all_or_none() -> None:
    places = Places(at_once=2, waiting=2)
    first = places.ask("a", 3)
    assert [has_turn(place) for place in first] == [True, True, False]
    assert (places.running, places.waiting) == (2, 1)
    with pytest.raises(Refusal, match="busy: 2 runs go on and 1 wait"):
        places.ask("a", 2)
    assert (places.running, places.waiting) == (2, 1)
    first[0].leave()
    assert has_turn(first[2])


async def test_a_full_queue_of_one_key_keeps_no_other_out() -> None:
    places = Places(at_once=1, waiting=3)
    places.ask("many", 1)
    waiting = places.ask("many", 3)
    [other] = places.ask("few", 1)
    with pytest.raises(Refusal, match="busy"):
        await waiting[-1].turn
    assert not other.turn.done()
    assert places.waiting == 3
    places.ask("few", 0)
    with pytest.raises(Refusal, match="busy"):
        places.ask("many", 1)
    with pytest.raises(Refusal, match="busy"):
        places.ask("few", 1)  # one of its own would have to go


async def test_a_place_is_given_back_once_and_a_turn_is_given_up() -> None:
    places = Places(at_once=1, waiting=3)
    [first], [second], [third] = (places.ask(key, 1) for key in "aba")
    second.leave()
    first.leave()
    first.leave()
    assert has_turn(third)
    assert (places.running, places.waiting) == (1, 0)
