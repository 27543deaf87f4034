"""A generation that is cut keeps only what a next request can go on from."""

from specreason_graph.endpoint.protocol import Token
from specreason_graph.generation.passage import Passage


def passage(*texts: str) -> Passage:
    got = Passage()
    for number, text in enumerate(texts, 1):
        got.add(Token(number, -0.1, text))
    return got


def trimmed(*texts: str, most: int | None = None) -> tuple[str, list[int], int]:
    """What is left of such tokens, and how many were dropped."""
    got = passage(*texts)
    dropped = got.trim(most)
    assert len(got.ids) == len(got.logprobs) == len(got.starts)
    return got.text, got.ids, dropped


def test_half_a_character_is_dropped() -> None:
    assert trimmed("So", "", " 🙂", "") == ("So 🙂", [1, 2, 3], 1)
    assert trimmed("So", "", "") == ("So", [1], 2)


def test_a_replacement_character_is_half_a_character_too() -> None:
    assert trimmed("So", "\ufffd") == ("So", [1], 1)


def test_trailing_newlines_are_dropped_with_their_whole_token() -> None:
    """The next request would see one newline only, and miss the boundary."""
    assert trimmed("So", " 12.\n") == ("So", [1], 1)
    assert trimmed("So", "\n", "\n") == ("So", [1], 2)


def test_nothing_may_be_left() -> None:
    assert trimmed("\n") == ("", [], 1)


def test_tokens_know_where_their_text_begins() -> None:
    """Also those that end inside a character."""
    assert passage("So", "", " é2", " legs").starts == [0, 2, 2, 5]


def test_a_cap_keeps_whole_characters_below_it() -> None:
    assert trimmed("So", "", " 🙂", " legs", most=3) == ("So 🙂", [1, 2, 3], 1)
    assert trimmed("So", "", " 🙂", " legs", most=2) == ("So", [1], 3)
