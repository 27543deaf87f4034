"""A text that has become one cycle is seen while it is written, and what repeats for a reason is left alone."""

from __future__ import annotations

import random
import re
from itertools import product

import pytest

from specreason_graph.endpoint.protocol import Token
from specreason_graph.generation.cycle import ANSWER_LOOP, STEP_LOOP, in_circles

TOKEN = re.compile(r" ?[^\W\d_]+|\d| ?[^\w\s]{1,4}\n*|\n+|\s+(?=\s)|\s|_")
"""As Qwen splits, near enough: a word with its blank, a digit, some signs, blanks."""

LEAD = "The flour is 12.8 cups for 3 cakes, and Anna bakes 5 of them on each of 4 days.\nSo we have to multiply: "
LATE = " ".join(f"Cake {n} takes {n * 3} eggs." for n in range(1, 30)) + "\n"

LOOPS = {
    "an equation that goes on": "12.8 × 5/3 = ",
    "a sentence": "So the total number of apples is 24. ",
    "a line": "- Check the sum of both rows again.\n",
    "two lines in turn": "Try A: it is 12 > 7.\nTry B: it is 9 > 7.\n",
    "LaTeX": "\\frac{5}{3} \\times 12.8 = ",
    "a paragraph": "Wait, let me read the problem again. Anna bakes 5 cakes, each of 12.8 cups, so that is 64 cups.\n",
    "a long paragraph": "Let me check this once more. Anna bakes five cakes on each of the four days, and each cake "
    "takes 12.8 cups of flour, so it is five times four times 12.8 cups in all, which I have to divide by three.\n",
    "items of a list": "* Yes, it is.\n",
    "JSON": '{"name": "Anna", "cakes": 5}, ',
    "code": "    total = total + price * 12\n",
    "in Chinese": "所以一共有的苹果的总数量是二十四个。",
    "in Arabic": "إذن المجموع هو ٢٤ تفاحة. ",
    "characters of several tokens": "So 🙂 it is 𝑥 = 5, ",
    "years": "2019, 2020, 2021, 2019, 2020, 2021, 2045; ",
    "lines of blanks": "\n",
    "blanks": " \t",
}
LOW = {
    "zeros": "0",
    "thousands": "000,",
    "one sign": "(",
    "one letter": "a",
    "a short sound": "ha ",
    "one word": " again",
    "a word and a comma": "very, ",
    "a period of digits": "142857",
    "a row of a matrix": "[0, 0, 0],\n",
    "terms": "5 + ",
}
"""Cycles of few characters, which may go on for longer."""


def row(cell: str, cells: int, between: str = ", ") -> str:
    return between.join([cell] * cells)


LEGITIMATE = {
    # told often, but exactly so in few tokens
    "a power of ten": f"10^30 = 1{'0' * 30}",
    "a googol": f"A googol is 1{'0' * 100}.",
    "a binary number": f"It is {'10' * 64}.",
    "a row of ones": "1" * 64,
    "a long division": f"1/7 = 0.{'142857' * 20}…",
    "a longer period": f"1/17 = 0.{'0588235294117647' * 8}…",
    "a rule": "-" * 400,
    "a rule of stars": "* * * " * 20,
    "a table's rule": f"|{'---|' * 40}",
    "columns": f"\\begin{{array}}{{{'c|' * 20}c}}",
    "indentation": f"if x:\n{' ' * 200}y",
    "a row of blank entities": "&nbsp;" * 30,
    "laughter": "ha " * 60,
    "a cheer": "Hip, hip, hooray! " * 3,
    "a matrix of zeros": f"[{row('0', 8)}],\n" * 8,
    "a larger one": f"[{row('0', 10)}],\n" * 10,
    "one in LaTeX": f"{row('0', 8, ' & ')} \\\\\n" * 8,
    "an empty board": "+---+---+---+---+---+---+---+---+\n|   |   |   |   |   |   |   |   |\n" * 8,
    "a board of squares": "X O X O X O X O\nO X O X O X O X\n" * 4,
    "a drawing": "##########\n" * 12,
    "dots": ". . . . . . . . . .\n" * 10,
    "a staircase": "".join(f"{' ' * n}#\n" for n in range(40)),
    "an empty table": f"  <tr>{'<td></td>' * 5}</tr>\n" * 8,
    "units digits": "2, 4, 8, 6, " * 25,
    "remainders": "1, 3, 2, 6, 4, 5, " * 8,
    "a sum of equals": row("\\frac{1}{2}", 20, " + "),
    "a product of equals": row("(1 + 0.05)", 20, " × "),
    "a sum of twelve": row("12", 30, " + "),
    "coins": "H T " * 40,
    "weeks": "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday, " * 8,
    "nulls": row("null", 40),
    "rows of nothing": '{"name": "", "value": null},\n' * 12,
    "printed often": '    print("Hello")\n' * 12,
    "a refrain": "\n".join(f"Verse {n} is of another thing.\n{'Row, row, row your boat.' * 3}" for n in range(9)),
    "a refrain told thrice": "Gently down the stream we go, and merrily we sing our song together, all day long.\n" * 3,
    "a paragraph told twice": " ".join(f"word{n}" for n in range(200)) * 2,
    # told on and on, but with something new each time
    "counting": ", ".join(map(str, range(1, 400))),
    "counting in lines": "".join(f"{n}. Check the sum of both rows again.\n" for n in range(1, 80)),
    "powers": ", ".join(f"2^{n} = {2**n}" for n in range(1, 90)),
    "remainders of powers": ", ".join(f"3^{n} = {3**n % 7} (mod 7)" for n in range(1, 99)),
    "a table": "".join(f"| {n} | {n * 7} | no |\n" for n in range(1, 90)),
    "a multiplication table": "\n".join(" ".join(str(a * b) for b in range(1, 12)) for a in range(1, 12)),
    "a truth table": "".join(f"| {' | '.join(v)} | T |\n" for v in product("TF", repeat=6)),
    "an identity matrix": "".join(f"[{row('0, ', n, '')}1{row(', 0', 15 - n, '')}],\n" for n in range(16)),
    "letters": "".join(f"({c}) This is not the value, so it is wrong.\n" for c in "abcdefghijklmnopqrstuvwxyz"),
    "pi": "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706",
    "a random number": "".join(random.Random(0).choices("0123456789", k=600)),
    "a random binary number": "".join(random.Random(1).choices("01", k=600)),
    "growing": ", ".join(map("1".__mul__, range(1, 60))),
    "days counted": "".join(f"Day {n}: he eats 2 apples, so {600 - 2 * n} are left.\n" for n in range(1, 60)),
}


def tokens(text: str) -> list[Token]:
    spelled = TOKEN.findall(text)
    assert "".join(spelled) == text
    return [Token(hash(piece) % 9999, -0.0, piece) for piece in spelled]


def seen(written: list[Token], least: int | None = STEP_LOOP) -> int | None:
    """How many tokens were written when it was seen."""
    text = ""
    for number, token in enumerate(written, 1):
        text += token.text
        if in_circles(written[:number], text, least):
            return number
    return None


def looping(cycle: str, tellings: int) -> list[Token]:
    return tokens(cycle) * tellings


@pytest.mark.parametrize("lead", ["", LEAD, LATE], ids=["at once", "behind a line", "late"])
@pytest.mark.parametrize("cycle", LOOPS.values(), ids=LOOPS)
def test_a_loop_is_seen(cycle: str, lead: str) -> None:
    """Behind its first telling and the tokens that it takes, and at the next look."""
    before, one = tokens(lead), len(tokens(cycle))
    at = seen(before + looping(cycle, 900 // one + 1))
    assert at is not None
    assert STEP_LOOP <= at - len(before) <= max(STEP_LOOP + one, 6 * one) + 16


@pytest.mark.parametrize("cycle", LOW.values(), ids=LOW)
def test_a_loop_of_few_characters_is_seen_later(cycle: str) -> None:
    for lead in ("", LEAD):
        before, one = tokens(lead), len(tokens(cycle))
        at = seen(before + looping(cycle, 500 // one))
        assert at is not None
        assert 2 * STEP_LOOP <= at - len(before) <= 2 * STEP_LOOP + one + 16


@pytest.mark.parametrize("cycle", [*LOOPS.values(), *LOW.values()], ids=[*LOOPS, *LOW])
def test_an_answer_may_repeat_for_longer(cycle: str) -> None:
    written = tokens(LEAD) + looping(cycle, 1024 // len(tokens(cycle)) + 1)
    in_step, in_answer = seen(written), seen(written, ANSWER_LOOP)
    assert in_step is not None
    assert in_answer is not None
    assert 2 * STEP_LOOP <= in_answer <= 1024, "within an answer's budget"
    assert in_step <= in_answer


@pytest.mark.parametrize("text", LEGITIMATE.values(), ids=LEGITIMATE)
def test_what_repeats_for_a_reason_is_no_loop(text: str) -> None:
    for lead in ("", LEAD):
        assert seen(tokens(lead + text + " So that is that.")) is None


@pytest.mark.parametrize("cycle", LOOPS.values(), ids=LOOPS)
def test_a_loop_is_the_same_however_it_is_cut_into_tokens(cycle: str) -> None:
    """A cycle of another telling may be of other tokens, and a token may end inside a character."""
    chance, text, written = random.Random(cycle), LEAD + cycle * 900, list[Token]()
    at = 0
    while at < len(text) and len(written) < 900:
        size = chance.randint(0, 5)
        written.append(Token(chance.randrange(9999), -0.0, text[at : at + size]))
        at += size
    assert seen(written) is not None


@pytest.mark.parametrize("tellings", [2, 3, 5])
def test_a_long_cycle_told_a_few_times_is_no_loop(tellings: int) -> None:
    paragraph = " ".join(f"word {n} of many" for n in range(60)) + "\n"
    assert seen(tokens(paragraph * tellings)) is None


def test_a_loop_that_ended_is_none() -> None:
    """What matters is whether it goes on now."""
    written = tokens("Try again. ") * 30 + tokens("No: it is 5. " + LATE)
    assert len(tokens("Try again. ") * 30) < STEP_LOOP
    assert seen(written) is None


def test_nothing_is_looked_for_where_nobody_wants_it() -> None:
    assert seen(looping("12.8 × 5/3 = ", 99), None) is None


def test_tokens_without_text_are_no_loop() -> None:
    """They end inside a character, and the text stays as it was."""
    assert seen([*tokens(LEAD), *[Token(1, -0.0, "")] * 600]) is None
