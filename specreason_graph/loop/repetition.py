"""Reasoning that goes in circles: repeated and near-equal steps, and cycles of a few of them.

A real draft here runs to the context's end on some 5 % of GSM8K problems; the authors' script notices two
equal steps only, and then calls the run finished.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache

_LONGEST_CYCLE = 4  # steps
RECENT = 2 * _LONGEST_CYCLE
"""As many of the last steps are looked at."""
_OFTEN = 3  # times that one long step is told within the last 8
_LONG = 20  # characters; a shorter step may well come again, such as "Let's check:"
_NEAR = 0.9  # share of characters in common that makes two steps near-equal
_NEAR_REPEATS = 3  # counting up makes near-equal steps too, so one pair of them is no loop


def goes_in_circles(texts: Sequence[str]) -> bool:
    """Whether the last of these steps closes a loop.

    True for a step equal to the one before, for a cycle of 2-4 steps told twice (ABAB), for a step told three
    times of late (ABAC ADA: what comes between changes in its numbers only), and for a step near-equal to each of
    the three before it. Case, spaces and a leading list number are ignored.
    """
    tail = [_plain(text) for text in texts[-RECENT:]]
    for period in range(1, _LONGEST_CYCLE + 1):
        if len(tail) >= 2 * period and tail[-period:] == tail[-2 * period : -period]:
            return True
    if tail and len(tail[-1]) >= _LONG and tail.count(tail[-1]) >= _OFTEN:
        return True
    before = tail[-1 - _NEAR_REPEATS : -1]
    return len(before) == _NEAR_REPEATS and all(_near(tail[-1], earlier) for earlier in before)


@lru_cache(maxsize=1024)  # each step is looked at behind every one of the next few
def _plain(text: str) -> str:
    return re.sub(r"^(step )?\d+[.:)] ", "", " ".join(text.lower().split()))


def _near(one: str, other: str) -> bool:
    """By the share of characters in common; its two upper bounds come first, since a matcher is dear."""
    least = _NEAR * (len(one) + len(other)) / 2
    if min(len(one), len(other)) < least or (Counter(one) & Counter(other)).total() < least:
        return False
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= _NEAR
