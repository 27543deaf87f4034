"""Reasoning that goes in circles, told from reasoning that only looks alike.

A loop comes back to what was said; progress says what was not said yet, be it in the very same words. So steps that
differ in a number are different steps, in any script: a table, a search through cases, a matrix entry by entry. So
are steps that differ in a letter, a name or any other word that means something. Alike is not enough, then: the
same step must come again, and what is told between must bring nothing that could give it another meaning.

A real draft here runs to the context's end on some 5 % of GSM8K problems; the authors' script notices two equal steps
only. A loop that is missed costs tokens, up to the budget; progress called a loop costs the answer: so spare it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

_LONGEST_CYCLE = 4  # steps
RECENT = 2 * _LONGEST_CYCLE
"""As many of the last steps are looked at."""
_LONG = 20  # characters; a shorter step may well come again, such as "Let's check:" or "So it fails."
_OFTEN = 3  # times that a long step is told within the last 8; a short one needs one more
_ITEMS = 4  # equal items of a list: two may be two rounds of one thing, a draft that loops numbers on and on
_NEAR = 0.8  # share of words in common between steps that are the same but for their wording

# Words that mean nothing by themselves. Neither "a" nor "i" (they name things), nor "first", "not", "and", "or".
_FILLER = re.compile(
    "so|thus|hence|therefore|then|now|again|also|finally|indeed|well|okay|ok|hmm|wait|actually|just|simply|clearly"
    "|still|the|an|this|that"
)
# No colon behind a bare number: in "9: composite" it is what the step is about.
_LIST_NUMBER = re.compile(r"[\W_]*(?:step (\d{1,4})[.:)]|(\d{1,4})[.)、）．])(?!\d)")
# Numbers with their separators, words (one character each where nothing parts them), and every sign but
# punctuation, since "3 + 5" is not "3 - 5"; "!" is a factorial behind a number or a letter, unless it ends the step.
_TOKEN = re.compile(
    r"[.,]?\d+(?:[.,/]\d+)*|[\u3040-\u9fff]|[^\W\d_\u3040-\u9fff]+|(?<![^\W\d_]{2})!(?!$)|[^\w\s.,;:?!…\"、。，：；？！،؟]"
)
# A value of its own: numbers with their sum, or a total too large to come out again by chance. Not so "this is not
# divisible by 7" or "less than 1000 yet": a remark on the step before is news each time, as is an equation in x.
_RESULT = re.compile(
    r"\d\s?[-+*/×÷·−]\s?\d(?:[^\w=]|\d){0,30}=\W{0,3}\d"
    r"|^(?!.*\b(?:this|that|it|here|case)\b).*?(?:[是为有共]|\b(?:is|are|was|has|have|equals|total(?: of)?))"
    r"[^\w<>≤≥≠]{0,3}\d[\d.,]*\d"
)


class _Step(NamedTuple):
    plain: str  # but for case and spaces
    number: int | None  # in a list
    words: str  # what follows that number, less punctuation and fillers


def goes_in_circles(texts: Sequence[str]) -> bool:
    """Whether the last of these steps closes a loop.

    True for a step equal to the one before and for a cycle of 2-4 steps told twice (ABAB), but for case and spaces;
    and for what takes more tellings to be sure of: equal items of a list, one step reworded again and again, and a
    result that stays while only counters change around it.
    """
    tail = [_read(text) for text in texts[-RECENT:]]
    plain = [step.plain for step in tail]
    for period in range(1, _LONGEST_CYCLE + 1):
        if len(plain) >= 2 * period and plain[-period:] == plain[-2 * period : -period]:
            return True
    return bool(tail) and (_numbers_on(tail) or _reworded(tail) or _same_result(tail))


@lru_cache(maxsize=1024)  # each step is looked at behind every one of the next few; some 6 MB of long ones at most
def _read(text: str) -> _Step:
    plain = " ".join(text.lower().split())
    item = _LIST_NUMBER.match(plain)
    tokens: list[str] = _TOKEN.findall(plain, item.end() if item else 0)
    words = " ".join(token for token in tokens if not _FILLER.fullmatch(token))
    return _Step(plain, int(item[1] or item[2]) if item else None, words)


def _numbers_on(tail: list[_Step]) -> bool:
    """Items that differ in nothing but a list number that counts on: one of them, or two in turn."""
    for period in (1, 2):
        count = _ITEMS if period == 1 and len(tail[-1].plain) >= _LONG else RECENT  # "1. Yes", "2. Yes" are answers
        items = tail[-count:]
        if (
            len(items) == count
            and all(one.number is not None and other.number == one.number + 1 for one, other in pairwise(items))
            and all(one.words == other.words for one, other in zip(items, items[period:], strict=False))
        ):
            return True
    return False


def _reworded(tail: list[_Step]) -> bool:
    """One step told often, and between its tellings only itself in other words, none of them new the last time."""
    last = tail[-1]
    often = _OFTEN if len(last.plain) >= _LONG else _OFTEN + 1
    told = [at for at, step in enumerate(tail) if step[1:] == last[1:]]
    if len(told) < often:
        return False
    first, before = told[-often], told[-2]
    words = [step.words.split() for step in tail]
    seen = {word for step in words[: before + 1] for word in step}
    return all(_near(step, words[-1]) for step in words[first:]) and all(map(seen.issuperset, words[before:]))


def _near(one: list[str], other: list[str]) -> bool:
    numbers = [[word for word in words if any(map(str.isnumeric, word))] for words in (one, other)]
    common = (Counter(one) & Counter(other)).total()
    return numbers[0] == numbers[1] and 2 * common >= _NEAR * (len(one) + len(other))


def _same_result(tail: list[_Step]) -> bool:
    """A long step with a value of its own, told three times; between, numbers change and one word ("day six")."""
    told = [at for at, step in enumerate(tail) if step.words == tail[-1].words][-_OFTEN:]
    if len(told) < _OFTEN or len(tail[-1].plain) < _LONG or not _RESULT.search(tail[-1].plain):
        return False
    between = [{w for s in tail[a + 1 : b] for w in s.words.split() if w.isalpha()} for a, b in pairwise(told)]
    return all(b - a > 1 for a, b in pairwise(told)) and all(len(a ^ b) <= 2 for a, b in pairwise(between))
