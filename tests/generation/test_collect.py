"""A generation that is cut keeps only what a next request can go on from."""

from specreason_graph.endpoint.protocol import Chunk
from specreason_graph.generation.collect import Collected


def collected(*chunks: tuple[str, list[int]]) -> Collected:
    got = Collected()
    for text, ids in chunks:
        got.add(Chunk(text, ids, [-0.1] * len(ids)))
    got.trim()
    return got


def test_half_a_character_is_dropped() -> None:
    got = collected(("So", [1]), (" 🙂", [2, 3]), ("", [4]))
    assert (got.text, got.ids, len(got.logprobs)) == ("So 🙂", [1, 2, 3], 3)


def test_a_replacement_character_is_half_a_character_too() -> None:
    assert collected(("So", [1]), ("\ufffd", [2])).ids == [1]


def test_trailing_newlines_are_dropped_with_their_whole_token() -> None:
    """The next request would see one newline only, and miss the boundary."""
    assert collected(("So", [1]), (" 12.\n", [2])).ids == [1]
    assert collected(("So", [1]), ("\n", [2]), ("\n", [3])).text == "So"


def test_nothing_may_be_left() -> None:
    got = collected(("\n", [1]))
    assert (got.text, got.ids, got.starts) == ("", [], [])


def test_tokens_know_where_their_text_begins() -> None:
    assert collected(("So", [1]), (" 12", [2, 3]), (" legs", [4])).starts == [0, 2, 2, 5]


def test_a_cap_keeps_whole_chunks_of_text_below_it() -> None:
    got = Collected()
    for text, ids in [("So", [1]), (" 12", [2, 3]), (" legs", [4])]:
        got.add(Chunk(text, ids, [-0.1] * len(ids)))
    got.trim(3)
    assert (got.text, got.ids) == ("So 12", [1, 2, 3])
    got.trim(2)
    assert (got.text, got.ids) == ("So", [1])
