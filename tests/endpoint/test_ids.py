"""A body that is spelled in parts is the body that it would be in one."""

import json

from hypothesis import given
from hypothesis import strategies as st

from specreason_graph.endpoint.ids import Ids, encoded, marked

IDS = st.lists(st.integers(0, 200_000), max_size=20)


@given(first=IDS, second=IDS, third=IDS)
def test_what_was_added_is_what_it_would_be_as_a_whole(first: list[int], second: list[int], third: list[int]) -> None:
    whole = Ids([*first, *second, *third])
    for ids in (
        Ids(first).plus(second).plus(third),
        Ids(first).grown(second).grown(third),
        Ids(first).plus(second).grown(third),
        Ids(first).grown(second).plus(third),
    ):
        assert list(ids) == list(whole) == json.loads(ids.json)
        assert (ids.mark, len(ids)) == (whole.mark, len(whole))
        assert marked(Ids(first).mark, [*second, *third]) == whole.mark


@given(ids=IDS, others=IDS)
def test_other_ids_have_another_mark(ids: list[int], others: list[int]) -> None:
    assert (Ids(ids).mark == Ids(others).mark) == (ids == others)


@given(prompts=st.lists(IDS, min_size=1, max_size=4))
def test_a_body_holds_one_prompt_or_several_in_their_order(prompts: list[list[int]]) -> None:
    plain = {"model": 'a "b"', "prompt": prompts, "temperature": 0, "stop": ["\n\n"], "seed": None}
    assert json.loads(encoded({**plain, "prompt": [Ids(prompt) for prompt in prompts]})) == plain
    assert json.loads(encoded({**plain, "prompt": Ids(prompts[0])})) == {**plain, "prompt": prompts[0]}
    assert json.loads(encoded(plain)) == plain


def test_ids_never_change() -> None:
    """Guards requests on their way, and forks: two runs may grow out of one ledger."""
    before = Ids([1, 2])
    request, one, other = before.plus([7]), before.grown([3]), before.grown([4])
    assert [list(it) for it in (before, request, one, other)] == [[1, 2], [1, 2, 7], [1, 2, 3], [1, 2, 4]]
    assert [it.json for it in (before, request, one, other)] == [b"[1,2]", b"[1,2,7]", b"[1,2,3]", b"[1,2,4]"]
