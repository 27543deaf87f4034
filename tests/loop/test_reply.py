"""The reply's pieces: joined they are what the whole would have been."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specreason_graph.contract.events import Event
from specreason_graph.contract.state import Ended
from specreason_graph.generation.bill import no_usage
from specreason_graph.loop.reply import Pieces, Told, until, usage_metadata

TEXTS = st.lists(st.text(alphabet="a \n", max_size=4))


@given(TEXTS)
def test_pieces_of_a_text_join_to_it_without_the_blanks_around(texts: list[str]) -> None:
    told = Told()
    assert "".join(map(told.add, texts)) + told.rest(len("".join(texts))) == "".join(texts).strip()


@given(TEXTS)
def test_a_cue_is_told_with_the_answer_or_not_at_all(texts: list[str]) -> None:
    told = Told(held="The answer is ")
    said = "".join(map(told.add, texts)) + told.rest(len("".join(texts)))
    assert said == (("The answer is " + "".join(texts)).strip() if "".join(texts).strip() else "")


@given(
    st.lists(st.text(alphabet="ab \n", max_size=4)), st.lists(st.sampled_from(["ab", "aab", "b\n", "bba "]), max_size=3)
)
def test_nothing_of_a_stop_is_told_however_the_text_is_cut(texts: list[str], stops: list[str]) -> None:
    told = Told(stops=stops)
    said = "".join(map(told.add, texts)) + told.rest(len("".join(texts)))
    assert said == until("".join(texts), stops).strip()


def kept(text: str) -> Event:
    step: Any = {"text": text}
    return {"event": "step_accepted", "step": step}


@pytest.mark.parametrize("ended", get_args(Ended))
@pytest.mark.parametrize("waits", [False, True])
def test_the_step_that_is_the_answer_is_never_told_as_reasoning(waits: bool, ended: Ended) -> None:
    pieces = Pieces(last_step_waits=waits)
    events: list[Event] = [kept("One.\n\n"), kept("Two."), {"event": "reasoning_ended", "ended": ended}]
    told = "".join(pieces.of(event)[0] for event in events)
    assert told == ("One." if waits and ended == "finished" else "One.\n\nTwo.")


def test_what_was_cached_is_only_said_where_all_is_known() -> None:
    usage = no_usage()
    usage["base"] |= {"prompt_tokens": 10, "completion_tokens": 7, "cached_tokens": 4}
    usage["draft"] |= {"prompt_tokens": 5, "completion_tokens": 9, "cached_tokens": 2}
    metadata = usage_metadata(usage, answer_tokens=3)
    assert (metadata["input_tokens"], metadata["output_tokens"], metadata["total_tokens"]) == (15, 16, 31)
    assert metadata["output_token_details"] == {"reasoning": 13}
    assert metadata["input_token_details"] == {"cache_read": 6}
    usage["draft"]["cached_tokens"] = None
    assert "cache_read" not in usage_metadata(usage, answer_tokens=3)["input_token_details"]


def test_what_was_taken_back_is_not_told() -> None:
    """A text that turns out to open a call: what was held for it is no answer, and what was before it is."""
    told = Told(stops=('{"name": "now"',))
    assert [told.add(piece) for piece in ("So ", "{ ", '{"na')] == ["So", " {", ""]
    assert told.rest(len("So { ")) == ""
    told = Told(stops=('{"name": "now"', "<call>"))
    assert [told.add(piece) for piece in ("a ", '{"na')] == ["a", ""]
    assert told.rest(len('a {"na')) == ' {"na'
