"""What ids spell: whatever the text, and however the tokens that make it up are cut into events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers.decoders import DecodeStream

from specreason_graph.endpoint.protocol import Token
from specreason_graph.endpoint.spelling import HALF, Speech, Spelling, plain_pieces, sliced, spells_control, texts_of
from specreason_graph.testing import ByteTokenizer, tokenizer

TOKENIZERS = st.sampled_from([tokenizer("a"), tokenizer("b")])
PIECES = ["🙂", "👨‍👩‍👧🏽", "你好", "مرحبا", "नमस्ते", "e\u0301", "𝑥²", "｜", HALF, "\x00", "\u2028"]
PIECES += ["\n", "\n\n", "\n\n\n", ".\n\n", "\r\n", " ", "  ", "the", " therefore", "3"]
PIECES += ["<|im_end|>", "</think>", "<think>", "<|im_start|>", "[INST]", "<", "<|"]
TEXTS = st.lists(st.one_of(st.text(max_size=6), st.sampled_from(PIECES)), max_size=12).map("".join)
SIZES = st.lists(st.integers(1, 8), min_size=1, max_size=6)


class Vocabulary:
    """A tokenizer as a server has it, which counts what it is asked."""

    def __init__(self, backend: ByteTokenizer, *, tells: bool = True) -> None:
        self.backend = backend
        self.tells = tells
        self.asked: list[tuple[int, ...]] = []
        self.spelling = Spelling(self.ids, self.encode, self.decode)

    def plain(self, text: str) -> list[int]:
        """The ids of a text in which nothing is a control token."""
        return [token for piece in pieces(self.backend, text) for token in self.backend.encode(piece)]

    async def ids(self, text: str) -> list[int]:
        return self.plain(text)

    async def encode(self, text: str) -> None:
        for piece in pieces(self.backend, text) if self.tells else ():
            ids = self.backend.encode(piece)
            self.spelling.learn(ids, texts_of(self.backend.strings(ids), piece) or ())

    async def decode(self, ids: Sequence[int]) -> str:
        self.asked.append(tuple(ids))
        return self.backend.spell(ids).decode(errors="replace")

    def events(self, ids: Sequence[int], sizes: Sequence[int]) -> Iterator[tuple[list[int], str]]:
        """The tokens of each event, and the text that vLLM gives with them: it lags inside a character."""
        decoder, at, number = DecodeStream(skip_special_tokens=True), 0, 0
        while at < len(ids):
            event = list(ids[at : at + sizes[number % len(sizes)]])
            yield event, "".join(decoder.step(self.backend.backend, token) or "" for token in event)
            at, number = at + len(event), number + 1

    async def spoken(self, ids: Sequence[int], sizes: Sequence[int]) -> list[Token]:
        """The tokens of one generation."""
        speech, said = Speech(self.spelling), list[Token]()
        for event, text in self.events(ids, sizes):
            said += await speech.tokens(event, [-0.5] * len(event), text)
        return said


@given(backend=TOKENIZERS, texts=st.lists(TEXTS, min_size=1, max_size=3), sizes=SIZES, tells=st.booleans())
@example(backend=tokenizer("a"), texts=["🙂🙂", "🙂"], sizes=[1], tells=True)
@example(backend=tokenizer("a"), texts=["\ufffd" * 9 + "🙂 a"], sizes=[1], tells=True)
@example(backend=tokenizer("b"), texts=["\ufffd" * 40 + "🙂 a"], sizes=[5], tells=False)
async def test_texts_join_to_the_text_for_any_cutting(
    backend: ByteTokenizer, texts: list[str], sizes: list[int], tells: bool
) -> None:
    """Guards steps: also where one generation has learned before the next one, which must not learn wrongly."""
    vocabulary = Vocabulary(backend, tells=tells)
    for text in texts:
        ids = vocabulary.plain(text)
        said = await vocabulary.spoken(ids, sizes)
        assert [token.id for token in said] == ids
        spelled = "".join(token.text for token in said)
        assert spelled == text[: len(spelled)]
        assert not text[len(spelled) :].strip(HALF)  # a `HALF` at the end may be one that goes on


@given(backend=TOKENIZERS, text=TEXTS.filter(lambda text: HALF not in text), sizes=SIZES)
async def test_each_tokens_text_does_not_depend_on_the_cutting(
    backend: ByteTokenizer, text: str, sizes: list[int]
) -> None:
    """Guards evidence: it belongs to a token, and so does its place in the text."""
    ids = Vocabulary(backend).plain(text)
    expected = [one for piece in pieces(backend, text) for one in sliced(piece, _widths(backend, piece))]
    for vocabulary in (Vocabulary(backend), Vocabulary(backend, tells=False)):
        for cutting in (sizes, [1], [len(ids) + 1], sizes):
            assert [token.text for token in await vocabulary.spoken(ids, cutting)] == expected


def pieces(backend: ByteTokenizer, text: str) -> list[str]:
    """The pieces of a text, asked of the tokenizer as a client does."""
    return plain_pieces(text, sliced(text, _widths(backend, text)))


def _widths(backend: ByteTokenizer, text: str) -> list[int]:
    return [len(backend.spelling[token]) for token in backend.encode(text)]


@given(backend=TOKENIZERS, text=TEXTS, sizes=SIZES)
async def test_what_was_learned_is_not_asked_for_again(backend: ByteTokenizer, text: str, sizes: list[int]) -> None:
    """Guards latency: a request a token would take longer than the token."""
    vocabulary = Vocabulary(backend)
    ids = vocabulary.plain(text)
    await vocabulary.spoken(ids, sizes)
    asked = len(vocabulary.asked)
    assert len(set(vocabulary.asked)) == asked
    await vocabulary.spoken(ids, sizes)
    assert len(vocabulary.asked) == asked


@given(backend=TOKENIZERS, text=st.text(st.characters(max_codepoint=127, exclude_categories=["Cc"]), max_size=40))
async def test_nothing_is_asked_for_tokens_that_came_with_their_text(backend: ByteTokenizer, text: str) -> None:
    """Guards the same from the first generation on."""
    vocabulary = Vocabulary(backend)
    for sizes in ([1], [4]):
        await vocabulary.spoken(vocabulary.plain(text), sizes)
    assert not vocabulary.asked


@pytest.mark.parametrize("inside", [1, 2, 3])
async def test_a_prompt_that_ends_inside_a_character_teaches_nothing_wrong(inside: int) -> None:
    """vLLM gives the whole prompt's text with the character that is completed: that is no token's spelling."""
    vocabulary = Vocabulary(tokenizer("a"))
    half = vocabulary.plain("🙂")[:inside]
    speech = Speech(vocabulary.spelling, half[-1])
    for token in vocabulary.plain("🙂")[inside:-1]:
        await speech.tokens([token], [-0.5])
    await speech.tokens(vocabulary.plain("🙂")[-1:], [-0.5], "All of the prompt, and 🙂")
    await speech.tokens(vocabulary.plain("!"), [-0.5], "!")
    for text in ("🙂!", "Æ", "߀"):
        assert "".join(token.text for token in await vocabulary.spoken(vocabulary.plain(text), [1])) == text
    last = vocabulary.plain("🙂")[-1]
    assert (await vocabulary.spelling.of((last,))) == HALF


async def test_ids_that_each_end_inside_a_character_are_not_given_up_too_soon() -> None:
    """Guards scripts whose tokens lie across characters: a long word may have no token that ends with one."""
    raw = "مرحبابالعالم".encode()
    pieces = [raw[:1], *(raw[at : at + 2] for at in range(1, len(raw) - 1, 2)), raw[-1:]]

    async def decode(ids: Sequence[int]) -> str:
        return b"".join(b"A" if token == 99 else pieces[token] for token in ids).decode(errors="replace")

    async def ids(_: str) -> list[int]:
        return [99]

    speech = Speech(Spelling(ids, ids, decode))
    said = [token for at in range(len(pieces)) for token in await speech.tokens([at], [-0.5])]
    assert "".join(token.text for token in said) == raw.decode()
    assert len(said) > 8


@given(backend=TOKENIZERS, text=TEXTS)
def test_byte_level_strings_tell_the_texts(backend: ByteTokenizer, text: str) -> None:
    ids = backend.encode(text)
    told = texts_of(backend.strings(ids), text)
    assert told is not None
    assert len(told) == len(ids)
    assert "".join(told) == text


@pytest.mark.parametrize(
    ("strings", "text", "told"),
    [
        (["▁Hello", "▁world"], " Hello world", [" Hello", " world"]),
        (["▁", "<0xF0>", "<0x9F>", "<0x99>", "<0x82>", "."], " 🙂.", [" ", "", "", "", "🙂", "."]),
        (["caf", "é", "<0x0A>"], "café\n", ["caf", "é", "\n"]),
        (["ééééé", "<0x0A>"], "ééééé\n", ["ééééé", "\n"]),  # as many letters as bytes, and yet not byte-level
        (["▁a", "é"], "aé", None),  # a space that is not there: as many letters as bytes again
        (["▁Hello"], "Hello", None),
        (["e", "Ì", "ģ"], "e\u0301", ["e", "", "\u0301"]),
        (["Ã©"], "e\u0301", None),  # a tokenizer that composes what it reads
        (["</think>", "Ċ"], "</think>\n", ["</think>", "\n"]),
        (["<｜end▁of▁sentence｜>"], "<｜end▁of▁sentence｜>", ["<｜end▁of▁sentence｜>"]),
        ([], "", []),
        ([], "a", None),
        ([None], "a", None),
        ([None, "a"], "a", None),
    ],
)
def test_strings_that_do_not_make_up_the_text_are_not_believed(
    strings: list[object], text: str, told: list[str] | None
) -> None:
    """Guards what is learned for the whole process."""
    assert texts_of(strings, text) == told


CONTROLS = ["<|im_end|>", "</think>", "<start_of_turn>", "<end_of_turn>", "<eos>", "<bos>", "<unk>", "<s>", "</s>"]
CONTROLS += ["[gMASK]", "<sop>", "<seed:think>", "<SPECIAL_12>", "<extra_id_0>", "<tool_response>", "[INST]", "[/INST]"]
CONTROLS += ["<｜begin▁of▁sentence｜>", "<|reserved_special_token_0|>", "[|endofturn|]", "]~b]", "[e~[", ">>TITLE<<"]


@pytest.mark.parametrize("control", CONTROLS)
def test_a_token_that_is_a_control_token_is_told_by_its_text(control: str) -> None:
    """Of models that are out there; a list of their shapes had left out half of them."""
    assert spells_control(control)
    assert plain_pieces(f"a {control} b", ["a ", control, " b"]) == [f"a {control[0]}", f"{control[1:]} b"]
    assert plain_pieces(control * 2, [control, control]) == [control[0], control[1:] + control[0], control[1:]]


@pytest.mark.parametrize(
    "text",
    [
        "<|",
        "|>",
        " =",
        "\n\n",
        "###",
        "}),",
        "a",
        "don't",
        "_id",
        "<div",
        "</",
        "्या",
        "ों",
        "e\u0301",
        "1️⃣",
        HALF + "a" + HALF,
        " (",
        "",
        "<",
        "...",
    ],
)
def test_a_token_of_ordinary_text_is_none(text: str) -> None:
    assert not spells_control(text)
    assert plain_pieces(f"x{text}", ["x", text]) == [f"x{text}"]
