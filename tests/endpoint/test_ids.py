"""A body that is spelled in parts is the body that it would be in one."""

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specreason_graph.endpoint.ids import Ids, decoded, encoded, fingerprint_behind

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
        assert (ids.fingerprint, len(ids)) == (whole.fingerprint, len(whole))
        assert fingerprint_behind(Ids(first).fingerprint, [*second, *third]) == whole.fingerprint


@given(ids=IDS, others=IDS)
def test_other_ids_have_another_mark(ids: list[int], others: list[int]) -> None:
    assert (Ids(ids).fingerprint == Ids(others).fingerprint) == (ids == others)


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


@pytest.fixture
def busy_threads() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("busy_threads")
def test_growing_in_two_threads_never_mixes() -> None:
    """Guards runs in loops of their own that begin with the same ids: one's prompt must not hold another one's."""
    together = Barrier(2)

    def grown(before: Ids, mine: int) -> Ids:
        together.wait()
        return before.grown([mine] * 300).grown([mine + 1])

    with ThreadPoolExecutor(2) as threads:
        for _ in range(500):
            before = Ids(range(5))
            for mine, ids in zip((100, 200), threads.map(grown, [before] * 2, (100, 200)), strict=True):
                expected = [*range(5), *[mine] * 300, mine + 1]
                assert list(ids) == json.loads(ids.json) == expected
                assert ids.fingerprint == Ids(expected).fingerprint
            assert list(before) == list(range(5))


@pytest.mark.usefixtures("busy_threads")
def test_what_is_read_while_it_grows_elsewhere_does_not_change() -> None:
    """Guards requests that are being written as another run goes on from the same ids."""
    before, together = Ids(range(5)), Barrier(2)

    def grow() -> None:
        together.wait()
        ids = before
        for _ in range(300):
            ids = ids.grown([7] * 20)

    def read() -> set[bytes]:
        together.wait()
        return {json for _ in range(2000) for json in (before.json, b"[%b]" % b",".join(b"%d" % i for i in before))}

    with ThreadPoolExecutor(2) as threads:
        growing, reading = threads.submit(grow), threads.submit(read)
        growing.result()
        assert reading.result() == {b"[0,1,2,3,4]"}


def test_single_ids_are_those_of_the_list() -> None:
    """Also of what is not in the store."""
    ids = Ids([1, 2, 3]).grown([4]).plus([5, 6])
    assert [ids[at] for at in range(-6, 6)] == [[1, 2, 3, 4, 5, 6][at] for at in range(-6, 6)]
    assert ids[1:-1] == [2, 3, 4, 5]
    with pytest.raises(IndexError):
        ids[6]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'"a\\ud800b"', "a\ufffdb"),
        (b'"\\uDC00\\ud83d"', "\ufffd\ufffd"),
        (b'"a\xed\xa0\x80"', "a\ufffd"),
        (b'"\\ud83d\\ude00 \xf0\x9f\x98\x80"', "\U0001f600 \U0001f600"),
        (b'"\\\\ud800"', "\\ud800"),
        (b'"\xed\x9f\xbf"', "\ud7ff"),
    ],
)
def test_half_a_character_of_a_server_s_is_read_as_what_stands_for_one(raw: bytes, text: str) -> None:
    assert decoded(raw) == text
    assert decoded(b'{"a": [%b, NaN]}' % raw)["a"][0] == text
