"""Reasoning that goes in circles is seen, and reasoning that only looks alike is left alone."""

import json
from itertools import product
from pathlib import Path
from string import ascii_uppercase

import pytest

from specreason_graph.loop.repetition import RECENT, goes_in_circles

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "looping_draft.json").read_text())

LOOPS = {
    "equal": ["So x = 3.\n\n", "So x = 3.\n\n"],
    "equal but for case and spaces": ["So x = 3.\n\n", "  so  X = 3. \n\n"],
    "equal, with its numbers": ["Row 2: 3 + 5 = 8.", "Row 2: 3 + 5 = 8."],
    "two in turn": ["Start.", "Try A.", "Try B.", "Try A.", "Try B."],
    "three in turn": ["Start.", *["Try A.", "Try B.", "Try 3."] * 2],
    "four in turn": ["A", "B", "C", "D", "A", "B", "C", "D"],
    "permuted numbers, in turn": ["3 + 5 = 8", "5 + 3 = 8"] * 2,
    "in Chinese": ["第一行的和是8。", "第二行的和是9。"] * 2,
    "in Arabic": ["المجموع هو ٨.", "المجموع هو ٨."],
    "a result among counters": [
        "The total is 240 coins.",
        "Day 5 adds 10.",
        "The total is 240 coins.",
        "Day 6: 12.",
        "The total is 240 coins.",
    ],
    "a sum among counters": [
        *["So we have 3 + 4 = 7 coins.", "On day five nothing is added."],
        *["So we have 3 + 4 = 7 coins.", "On day six nothing is added."],
        "So we have 3 + 4 = 7 coins.",
    ],
    "a numbered result among counters": [
        *["1. The total is 240 coins.", "2. Day 5 adds 10.", "3. The total is 240 coins."],
        *["4. Day 6 adds 12.", "5. The total is 240 coins."],
    ],
    "a Chinese result among counters": [
        *["所以一共有的硬币的总数量仍然是240个,保持不变。", "第五天增加10个。"],
        *["所以一共有的硬币的总数量仍然是240个,保持不变。", "第六天增加12个。"],
        "所以一共有的硬币的总数量仍然是240个,保持不变。",
    ],
    "fillers and punctuation": [
        "So the total number of apples is 24.",
        "Thus, the total number of apples is 24!",
        "Hence the total number of apples is, again, 24.",
    ],
    "short, with fillers": ["So x = 3.", "Thus x = 3.", "Then, x = 3!", "Hence x = 3"],
    "words that come back": [
        "The answer is 42, as computed above.",
        "The answer is 42, as calculated above.",
        "So the answer is 42, as computed above.",
        "The answer is 42, as calculated, above.",
        "The answer is 42 as computed above.",
    ],
    "reworded without a number": [
        "Let me check this calculation again.",
        "Wait, let me check this calculation again.",
        "Let me check that calculation again...",
    ],
    "a list of one item": [f"{n}. Check the sum again." for n in range(7, 11)],
    "a list of steps": [f"**Step {n}:** We check the sum again." for n in range(1, 5)],
    "a list of one short item": [f"{n}) Yes." for n in range(1, 9)],
    "a list of two items": [f"{n}. {'Check the sum.' if n % 2 else 'Add them up.'}" for n in range(1, 9)],
}

NAMES = ["Anna", "Bob", "Carol", "Dave", "Emil", "Fay", "Gus", "Hal", "Ida"]
ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"]
ROMAN = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
CASES = [f"Case {n}: let n = 3k + {n}." for n in range(5)]
BOILERPLATE = "We apply the very same argument as before, term by term, and compare both sides of the equation. " * 12


def each(refrain: str) -> list[str]:
    """Proof by cases: each case a step of its own, and what follows from it another, in the same words each time."""
    return [step for case in CASES for step in (case, refrain)]


PROGRESS = {
    "nothing": [],
    "one": ["Only one."],
    "back once": ["Try A.", "Try B.", "Try A."],
    "a short refrain": ["Let's check:", "2 + 2 = 4.", "Let's check:", "3 + 3 = 6.", "Let's check:", "4 + 4 = 8."],
    "unlike": ["Tom has 3 apples.", "Ann has 4 apples.", "So 3 + 4 = 7."],
    "two cases": ["Let n = 1: 1 + 2 = 3.", "Let n = 2: 4 + 2 = 6.", "Both are multiples of 3."],
    # numbers
    "squares": [f"For n = {n}, n^2 + 1 = {n * n + 1}, not divisible by 7, so it fails." for n in range(11, 22)],
    "primes": [f"{n} is not divisible by 2, 3, 5 or 7, so {n} is prime." for n in (53, 59, 61, 67, 71, 73, 79)],
    "Euler's": [f"For n = {n}, n^2 + n + 41 = {n * n + n + 41}, which is prime." for n in range(10, 18)],
    "remainders": [f"{n} mod 2 = {n % 2}, {n} mod 3 = {n % 3}, so {n} is left." for n in (101, 103, 107, 109)],
    "matrix": [
        f"Entry ({i}, {j}) is row {i} times column {j}: {i}*4 + 5*{j} = {4 * i + 5 * j}."
        for i, j in product(range(1, 4), repeat=2)
    ],
    "zeros": [f"The entry in row {i}, column {j} is 0." for i, j in product(range(1, 4), repeat=2)],
    "table": [f"Row {n}: price = {n + 3}, so the running total is {7 * n}." for n in range(1, 9)],
    "one number": [f"The remaining apples not eaten on that day are counted as {n}." for n in range(1, 12)],
    "counting": [str(n) for n in range(1, 12)],
    "counting words": ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
    "countdown": [f"{n} seconds are left on the clock." for n in range(10, 0, -1)],
    "growing": [", ".join(map(str, range(1, n))) for n in range(2, 12)],
    "thousands": [f"The balance is then 1,{n}00,000 dollars." for n in range(1, 10)],
    "grouped": [f"The balance is then {n} 000 000 euros." for n in range(1, 10)],
    "decimals": [f"Rounded, the value here is 3.{n}." for n in range(1, 10)],
    "a point moves": [f"The value is {v} here." for v in ("1234", "123.4", "12.34", ".1234", "1,234", "12,34")],
    "fractions": [f"The chance of this outcome is {n}/6." for n in range(1, 7)],
    "vulgar fractions": [f"The chance of this outcome is {v}." for v in "½⅓¼⅕⅙⅛"],
    "signs": [f"The value of the function at this point is {v}." for v in ("2", "-2", "+2", "−2", "±2", "2!", "√2")],
    "operators": [f"We compute 6 {v} 2 for this entry of the table." for v in "+-*/^%<>="],
    "exponents": [f"The next term of the series is 10^{n}." for n in range(1, 9)],
    "superscripts": [f"The next term of the series is x{v}." for v in "²³⁴⁵⁶⁷⁸⁹"],
    "Arabic digits": [f"العدد {v} ليس من مضاعفات العدد سبعة." for v in "١٢٣٤٥٦٧٨٩"],
    "full-width digits": [f"The number {v} is not a multiple of it." for v in "１２３４５６７８９"],
    "dates": [f"2024-03-{n:02}: the shop is closed, nothing is sold." for n in range(1, 12)],
    "times": [f"At {n}:30 the train is still on the line." for n in range(1, 12)],
    "units": [f"The tank holds {v} at this point." for v in ("5 l", "5 ml", "5 kg", "5 m", "5 €", "5 $", "5 %")],
    "permuted": ["3 + 5 = 8", "5 + 3 = 8", "8 - 5 = 3", "8 - 3 = 5", "5 = 8 - 3", "3 = 8 - 5"],
    "permuted, long": [
        f"The order {a}, {b}, {c} gives a sum of 6, as wanted."
        for a, b, c in [(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)]
    ],
    "boilerplate, a number": [f"{BOILERPLATE} This is for n = {n}. {BOILERPLATE}" for n in range(9)],
    # words, letters, names
    "boilerplate, a word": [f"{BOILERPLATE} This is for {name}. {BOILERPLATE}" for name in NAMES],
    "letters": [f"Case {c}: the number is odd, so it fails." for c in ascii_uppercase],
    "letters alone": list(ascii_uppercase),
    "options": [f"({c}) This is not the value that we found, so it is wrong." for c in "abcdefgh"],
    "ordinals": [f"The {word} row has no zero in it." for word in ORDINALS],
    "roman": [f"{word}. The statement is true, as shown before." for word in ROMAN],
    "variables": [f"For {c} we get the value 5, as wanted." for c in "aixyzuvw"],
    "names": [f"{name} gets 3 * 4 = 12 apples in all." for name in NAMES],
    "weekdays": [f"On {d} the shop sells 15 loaves." for d in ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")],
    "not": ["It is divisible by 7.", "It is not divisible by 7.", "Is it divisible by 7?"],
    "truth table": [
        f"If P is {p}, Q is {q} and R is {r}, the formula is true." for p, q, r in product(("true", "false"), repeat=3)
    ],
    "every two": [f"{a} plays {b}, and the match ends in a draw." for a, b in product("ABCD", repeat=2) if a < b],
    "turns": [f"{name} takes one card from the pile." for name in ("Alice", "Bob", "Carol", "Alice")],
    "the same one in turn": [
        f"{name} takes one card from the pile."
        for name in ("The dealer", "Alice", "The dealer", "Bob", "The dealer", "Carol", "The dealer")
    ],
    "reworded twice": ["So the total number is 24.", "Thus the total number is 24."],
    # lists
    "two equal items": ["1. Check the sum again.", "2. Check the sum again."],
    "three equal items": [f"{n}. Check the sum again." for n in (1, 2, 3)],
    "answers": [f"{n}. Yes." for n in range(1, 7)],
    "list": [f"{n}. Check {n + 6}: yes" for n in range(1, 12)],
    "a number that it is about": [f"{n}: this one is composite, as is its square." for n in (8, 9, 10, 11, 12)],
    "no list": [f"{n}. This one is composite, as is its square." for n in (4, 6, 8, 9, 10, 12)],
    "numbered cases": [f"Case {n}: by symmetry, as before." for n in range(1, 12)],
    "decimals in front": [f"3.{n} is too small, so we go on." for n in range(1, 10)],
    "players": [f"Round {n}: {'Alice' if n % 2 else 'Bob'} moves." for n in range(1, 12)],
    # proofs by cases, where every case ends alike
    "it fails": each("So it fails."),
    "it fails, in more words": each("So the claim fails in this case, as before."),
    "not divisible": each("This is not divisible by 17, so it fails."),
    "less": each("That is still less than 1000 coins, so we go on."),
    "is less": each("So the sum is < 1000, and we go on."),
    "zero": each("Therefore the remainder is 0 in this case."),
    "an equation": each("Hence n^2 + n = 12 has no solution."),
    "a magic square": each("So the sum of this row is 15, as it should be."),
    "a root": each("So f(x) = 0 has no solution in this case."),
    "facts used anew": [
        "The total is 240 coins.",
        "Anna gets a half of them.",
        "The total is 240 coins.",
        "Bob's share is a third, less what he owes.",
        "The total is 240 coins.",
    ],
    # other languages
    "Chinese rows": [f"第{n}行没有零，所以这一行不成立。" for n in "一二三四五六七八九"],
    "Chinese items": [f"{n}、检查{n + 6}：是质数。" for n in range(1, 10)],
    "Chinese letters": [f"情况{n}：余数为零，所以不成立。" for n in "甲乙丙丁戊己庚"],
    "Japanese": [f"{n}番目の数は偶数なので、条件を満たしません。" for n in range(1, 10)],
    "Arabic rows": [f"الصف {n} لا يحتوي على صفر." for n in ("الأول", "الثاني", "الثالث", "الرابع", "الخامس", "السادس")],
    "Hindi": [f"पंक्ति {v} में कोई शून्य नहीं है।" for v in "१२३४५६७८९"],
    "German": [f"Die {word} Zeile hat keine Null." for word in ("erste", "zweite", "dritte", "vierte", "fünfte")],
    "Russian": [f"В строке {v} нет нуля, поэтому она подходит." for v in "абвгде"],
    "Greek": [f"The angle {v} is 60 degrees, as it should be." for v in "αβγδεζ"],
}


@pytest.mark.parametrize("steps", LOOPS.values(), ids=LOOPS)
def test_loops_are_seen(steps: list[str]) -> None:
    assert goes_in_circles(steps)
    assert goes_in_circles(["Something else.", "And this."] * (len(steps) < RECENT - 1) + steps)


@pytest.mark.parametrize("steps", LOOPS.values(), ids=LOOPS)
def test_loops_are_seen_at_their_last_step_and_no_earlier(steps: list[str]) -> None:
    assert not any(goes_in_circles(steps[:n]) for n in range(len(steps)))


@pytest.mark.parametrize("steps", PROGRESS.values(), ids=PROGRESS)
def test_progress_is_no_loop(steps: list[str]) -> None:
    assert [n for n in range(len(steps) + 1) if goes_in_circles(steps[:n])] == []


def test_a_recorded_run_of_a_real_draft_that_never_ended() -> None:
    """It went on to the end of its context; here it must be noticed long before, and not in its sound beginning."""
    steps = RECORDED["steps"]
    seen = next(n for n in range(1, len(steps) + 1) if goes_in_circles(steps[:n]))
    assert RECORDED["loop_begins"] < seen <= RECORDED["loop_begins"] + 6 < len(steps)
