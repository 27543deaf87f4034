"""The tokenizers must behave as real ones do where the ledger depends on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specreason_graph.testing import tokenizer
from specreason_graph.testing.tokenizer import BOS, CONTROL, TokenizerName

A, B = tokenizer("a"), tokenizer("b")


def pieces(name: TokenizerName, text: str) -> list[bytes]:
    it = tokenizer(name)
    return [it.spelling[token] for token in it.encode(text)]


@pytest.mark.parametrize("name", ["a", "b"])
@given(text=st.text(max_size=80) | st.text(alphabet="ab \n.:1é🙂<|>", max_size=80))
def test_ids_spell_the_text_they_came_from(name: TokenizerName, text: str) -> None:
    """Guards every offset computed from ids: no tokenizer may drop or change a byte."""
    it = tokenizer(name)
    ids = it.encode(text)
    assert it.spell(ids) == text.encode()
    assert it.backend.decode(ids, skip_special_tokens=False) == text
    assert sum(map(len, it.strings(ids))) == len(text.encode())


def test_boundaries_hide_in_other_tokens_in_a_alone() -> None:
    """Guards tests of boundaries that are no token of their own."""
    assert pieces("a", "So.\n\nNext:\n\nx\n\n\ny")[1::2] == [b".\n\n", b":\n\n", b"\n\n\n"]
    assert pieces("b", "So.\n\n") == [b"So", b".", b"\n\n"]


def test_b_splits_a_boundary_where_text_follows() -> None:
    """Guards tests of the probe letter, and of boundaries cut between two newlines."""
    assert pieces("b", "So.\n\nA") == [b"So", b".", b"\n", b"\n", b"A"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_digits_are_single_tokens(name: TokenizerName) -> None:
    """Guards judge labels, and spots at single digits."""
    assert pieces(name, "1234") == [b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_characters_beyond_ascii_are_one_token_a_byte(name: TokenizerName) -> None:
    """Guards tests of streams that end inside a character."""
    assert pieces(name, "🙂你") == [bytes([byte]) for byte in "🙂你".encode()]


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("control", CONTROL)
def test_control_tokens_are_read_in_any_text(name: TokenizerName, control: str) -> None:
    """Guards tests of injected control tokens: Hugging Face tokenizers read them, too."""
    assert tokenizer(name).id(control) in tokenizer(name).encode(f"say {control} now")


def test_the_two_disagree_about_ids_and_merges() -> None:
    """Guards tests of pairs with two tokenizers: neither ids nor widths may agree by accident."""
    text = "Therefore the remaining total is 42."
    assert A.encode(text) != B.encode(text)
    assert list(map(len, pieces("a", text))) != list(map(len, pieces("b", text)))
    assert all(A.id(control) != B.id(control) for control in CONTROL)


def test_common_words_are_merged() -> None:
    """Guards token counts of scripts: they must be near a real model's, not one a letter."""
    assert pieces("a", "So the total is") == [b"So", b" the", b" total", b" is"]


def test_bos_is_put_before_texts_on_demand() -> None:
    """Guards tests of servers that add a BOS token unless told not to."""
    with_bos = tokenizer("a", bos=True)
    assert with_bos.encode("So", special=True) == [with_bos.id(BOS), *with_bos.encode("So")]
    assert A.encode("So", special=True) == A.encode("So")
