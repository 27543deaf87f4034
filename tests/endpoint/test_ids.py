"""A body that is spelled in parts is the body that it would be in one."""

import json

from hypothesis import given
from hypothesis import strategies as st

from specreason_graph.endpoint.ids import Ids, encoded

IDS = st.lists(st.integers(0, 200_000), max_size=20)


@given(first=IDS, second=IDS, third=IDS)
def test_what_was_added_is_spelled_as_the_whole(first: list[int], second: list[int], third: list[int]) -> None:
    ids = Ids(first).plus(second).plus(third)
    assert ids == first + second + third
    assert json.loads(ids.json) == ids


@given(prompts=st.lists(IDS, min_size=1, max_size=4))
def test_a_body_holds_one_prompt_or_several_in_their_order(prompts: list[list[int]]) -> None:
    plain = {"model": 'a "b"', "prompt": prompts, "temperature": 0, "stop": ["\n\n"], "seed": None}
    assert json.loads(encoded({**plain, "prompt": [Ids(prompt) for prompt in prompts]})) == plain
    assert json.loads(encoded({**plain, "prompt": Ids(prompts[0])})) == {**plain, "prompt": prompts[0]}
    assert json.loads(encoded(plain)) == plain


def test_ids_that_were_added_to_stay_what_they_were() -> None:
    """Guards requests on their way: they hold the ledger that was."""
    before = Ids([1, 2])
    after = before.plus([3])
    assert (before, before.json, after.json) == ([1, 2], b"[1,2]", b"[1,2,3]")
