"""A text that goes in circles while it is written, told from one that repeats for a reason.

A loop is one cycle again and again, to the letter: what differs in a number, a letter or a name is progress. Cycles
are of characters, since the tokens of a text may differ from telling to telling and from model to model. How much of
it makes a loop is counted in tokens, which is what a loop costs: a rule of 200 dashes is four of them. A loop that is
missed costs no more than the rest of a step or an answer; so the bounds leave room for an empty table of 8 by 8.
"""

from __future__ import annotations

from collections.abc import Sequence

from specreason_graph.endpoint.protocol import Token

STEP_LOOP = 192
"""Tokens that tell one cycle on and on, behind its first telling, and make a loop in a step."""

ANSWER_LOOP = 384
"""The same in an answer: it may be a table or code, and what is cut there is not written anew by another model."""

_TELLINGS = 6
"""Of a cycle, at least: a verse comes three times, a row of a table more often, but in fewer tokens."""

_FEW = 8
"""Different characters. Matrices, boards, drawings, long numbers and sounds have no more in a cycle, and may go on for
twice as long. The emptiest sentence has more, and blanks alone say nothing."""

_EVERY = 16
"""Tokens from one look to the next: so it depends on their number alone, and costs next to nothing for each."""


def in_circles(tokens: Sequence[Token], text: str, least: int | None) -> bool:
    """Whether what is being written has become one cycle, told on and on; looked at behind every 16th token.

    Args:
        tokens: all that was written so far.
        text: what they spell.
        least: so many tokens behind the first telling make a loop, `STEP_LOOP` or `ANSWER_LOOP`; None: nothing does.
    """
    if least is None or len(tokens) < least or len(tokens) % _EVERY:
        return False
    tail = "".join(token.text for token in tokens[-least:])
    # Where the tail is found again first, the text's period is smallest.
    earliest = len(text) - len(tail) - len(text) // _TELLINGS
    period = len(text) - len(tail) - text.rfind(tail, max(0, earliest), len(text) - 1)
    if period > len(text) // _TELLINGS:  # also where it is not found
        return False
    cycle = text[-period:]
    if len(set(cycle)) <= _FEW and not cycle.isspace():
        if len(tokens) < 2 * least:
            return False
        tail = "".join(token.text for token in tokens[-2 * least :])
    told = text[-max(len(tail) + period, _TELLINGS * period) :]
    return told[period:] == told[:-period]
