"""Byte-level BPE tokenizers built in code: two that disagree, as those of real models do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

TokenizerName = Literal["a", "b"]

BOS = "<|bos|>"
TURN = "<|im_start|>"
END_OF_TURN = "<|im_end|>"
THINK = "<think>"
CLOSE = "</think>"
CONTROL = (BOS, TURN, END_OF_TURN, THINK, CLOSE)
CALLS = ("<tool_call>", "</tool_call>")
"""Single ids of tokenizer `a`, as Qwen's; in the other they are spelled like any text."""

IMAGE = "<|image_pad|>"
"""What stands for an image, and for each of its tokens; tokenizer `a` alone has it."""

_SPECIAL = (BOS, TURN, END_OF_TURN, IMAGE)  # left out of a completion's text; the think tags are not, as with Qwen3

# As Qwen splits: punctuation takes the newlines behind it along, so a boundary hides in tokens such as ".\n\n".
_SPLIT_A = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# As GPT-2 and SmolLM2 split: of "\n\n", the last newline stands alone if text follows.
_SPLIT_B = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

_WORDS = (
    "the a an of to in is are we it that and or so for as by this with be then first next from have has was which now"
    " step let us find number total sum answer equals equal times each both one two three more each how many there"
)
_WORDS_A = f"{_WORDS} therefore because thus check solve problem value result gives since wait know need per day"
_WORDS_B = f"{_WORDS} hence also add adding add up final product minus plus left remaining divide half hours cost"
_ENDS_A = (
    ".\n\n",
    ":\n\n",
    ")\n\n",
    "\n\n\n",
    "\n\n",
    " =",
    " +",
    " -",
    " *",
    " \\",
    "boxed",
    "yes",
    "no",
    "Yes",
    "No",
    " Yes",
    " No",
)
_ENDS_B = ("\n\n", " =", " +", "\\", "boxed", "yes", "no", "Yes", "No", " Yes", " No")
_PAIRS_A = "th he in er an re on at en es st ou ed it or ti ar te ng al"
_PAIRS_B = "in an er re th st en nd ha ll ea ro le co me de li ri io ic"


@dataclass(frozen=True, slots=True, eq=False)
class ByteTokenizer:
    """A `tokenizers` tokenizer and the bytes of text behind each of its ids.

    Characters beyond ASCII always are one token a byte, so ids can end inside a character.
    """

    backend: Tokenizer
    spelling: tuple[bytes, ...]
    """Bytes of each id; control tokens as they are spelled."""
    byte_ids: tuple[int, ...]
    """The id that stands for each single byte."""
    bos: bool
    """Whether texts begin with BOS when special tokens are asked for."""

    def encode(self, text: str, *, special: bool = False) -> list[int]:
        """Ids of a text; control tokens that it spells are read as such, and `special` puts BOS before it."""
        ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        return [self.id(BOS), *ids] if special and self.bos else ids

    def id(self, control: str) -> int:
        """The id of a control token."""
        return self.encode(control)[0]

    def spell(self, ids: Iterable[int]) -> bytes:
        """The bytes behind ids, control tokens spelled; they may begin or end inside a character."""
        return b"".join([self.spelling[i] for i in ids])

    def strings(self, ids: Sequence[int]) -> list[str]:
        """Each token as Hugging Face's `convert_ids_to_tokens` writes it, a letter a byte."""
        return [str(self.backend.id_to_token(i)) for i in ids]


@cache
def tokenizer(name: TokenizerName, *, bos: bool = False) -> ByteTokenizer:
    """One of the two tokenizers, with or without a BOS before texts.

    `a` works like Qwen's: ".\\n\\n", ":\\n\\n" and "\\n\\n\\n" are single ids, and so are the markers of calls;
    control tokens have the highest ids.
    `b` works like SmolLM2's: no id mixes newlines and other text, "\\n\\n" is one id at the end of a text and two
    where text follows, control tokens have the lowest ids. Digits are single ids in both.
    """
    if name == "a":
        return _built(_SPLIT_A, _WORDS_A, _ENDS_A, _PAIRS_A, control_first=False, bos=bos)
    return _built(_SPLIT_B, _WORDS_B, _ENDS_B, _PAIRS_B, control_first=True, bos=bos)


def _built(
    split: str, words: str, ends: tuple[str, ...], pairs: str, *, control_first: bool, bos: bool
) -> ByteTokenizer:
    letters = _byte_letters()
    added = CONTROL if control_first else (*CONTROL, *CALLS, IMAGE)
    spelled = {control: control.encode() for control in added} if control_first else {}
    spelled |= {letter: bytes([byte]) for byte, letter in enumerate(letters)}
    merges = [(pair[0], pair[1]) for pair in pairs.split()] + [(letters[10], letters[10])]
    whole = [text for word in words.split() for text in (f" {word}", word.capitalize())]
    for text in ("".join(pair) for pair in merges[:-1]):
        spelled.setdefault(text, text.encode())
    for text in (*ends, *whole):
        spelled.setdefault("".join(letters[byte] for byte in text.encode()), text.encode())
    vocabulary = {string: i for i, string in enumerate(spelled)}
    # Whole words skip the merges, so a vocabulary needs no chain of merges for each.
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, ignore_merges=True))
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    for control in added:
        special = control in _SPECIAL
        token = AddedToken(control, normalized=False, special=special)
        (backend.add_special_tokens if special else backend.add_tokens)([token])
    spelling = list(spelled.values()) + ([] if control_first else [control.encode() for control in added])
    byte_ids = tuple(vocabulary[letter] for letter in letters)
    return ByteTokenizer(backend, tuple(spelling), byte_ids, bos)


def _byte_letters() -> list[str]:
    """The printable letter that byte-level BPE writes for each byte (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(0x100)]
