"""What counts as an answer, and as a right one."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.bench.grading import Graded, given_answer, graded
from specreason_graph.tools.bench.problems import Problem, load_problems


def problem(answer: str) -> Problem:
    return Problem("set:0", "What is it?", answer)


def boxed(answer: str) -> str:
    return f"So it is \\boxed{{{answer}}}."


@pytest.mark.parametrize(
    ("text", "given"),
    [
        (r"First \boxed{1}, then \boxed{\frac{1}{\sqrt{2}}}.", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\{1, 2\}} or \boxed{\left\{x\right.}", r"\left\{x\right."),
        (r"\boxed{\boxed{7}}", "7"),
        (r"\boxed{1} and then \boxed{2", "1"),
        (r"\boxed{1}, as asked in \boxed{}", "1"),
        (r"The answer is 4, so \boxed{4", None),
        (r"The answer is 4, so \boxed{5}", "5"),
        ("The answer is 1. No, the answer is 3.5. I am sure.", "3.5"),
        ("**Answer:** $42$.", "42"),
        ("**Final Answer**:\n\n**1,200 apples**\nGood luck!", "1,200 apples"),
        (r"The answer is \(\frac{1}{2}\).", r"\frac{1}{2}"),
        ("Answer: x**2 + y**2", "x**2 + y**2"),
        ("The answer isn't 5", None),
        ("Answer:", None),
        ("It is 42.", None),
    ],
)
def test_given_answer(text: str, given: str | None) -> None:
    assert given_answer(text) == given


@pytest.mark.parametrize(
    "given",
    [
        "1200",
        "1,200",
        "1{,}200",
        r"1\,200",
        r"\$1,200",
        r"\$1{,}200.00",
        "$1200$",
        "€1200",
        "1200.",
        "1200 boxes",
        "1,200 km/h",
        "1200 cm^2",
        r"1200 \text{ dollars}",
        r"1200~\text{apples}",
        r"\text{1,200 apples}",
        r"\textbf{1200}",
        "x = 1200",
        r"12 \cdot 100",
    ],
)
def test_units_and_ways_of_writing_do_not_make_a_right_answer_wrong(given: str) -> None:
    assert graded(problem("1200"), boxed(given)) == Graded(given, True)


@pytest.mark.parametrize(
    "given",
    [
        "43",
        "4.2",
        "420",
        "-42",
        "42,000",
        "42, 43",
        "42 or 43",
        "42 million",
        "42 hours and 30 minutes",
        "42 pi",
        r"42\text{ and }43",
        "forty",
        "\\",
        r"\frac{42}{",
    ],
)
def test_another_answer_is_wrong(given: str) -> None:
    assert not graded(problem("42"), boxed(given)).right


@pytest.mark.parametrize("text", ["", r"\boxed{}", r"\boxed{42", "I can't tell."])
def test_no_answer_is_not_right(text: str) -> None:
    assert graded(problem("42"), text) == Graded(None, False)


@pytest.mark.parametrize(
    ("answer", "given"),
    [
        ("025", "25"),
        (r"\frac{7}{2}", "3.5"),
        (r"\text{Evelyn}", "Evelyn"),
        (r"\left(3, \frac{\pi}{2}\right)", r"(3, \pi/2)"),
        ("5m", "5 m"),
        ("1,-2", "-2, 1"),
        (r"4210_{5}", "4210_5"),
    ],
)
def test_answers_are_compared_as_mathematics(answer: str, given: str) -> None:
    assert graded(problem(answer), boxed(given)).right


@pytest.mark.parametrize("given", ["B", "(B)", "B.", "b", r"\text{B}", r"\textbf{(B)}", "B) 12 eV", "Option B"])
def test_a_letter_is_read_leniently(given: str) -> None:
    assert graded(problem("B"), boxed(given)).right


@pytest.mark.parametrize("given", ["A", "Both", "B, C", "C, B", "12 eV", "B or C"])
def test_a_letter_must_be_the_only_one(given: str) -> None:
    assert not graded(problem("B"), boxed(given)).right


def test_grading_works_off_the_main_thread() -> None:
    """math-verify's time limits are signals, which raise anywhere but on the main thread."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(graded, problem("1/2"), boxed("0.5")).result().right


@pytest.mark.parametrize("task", ["gsm_symbolic", "time_intervals", "simple_equations", "word_sorting"])
def test_a_task_takes_its_own_answers_and_no_other(task: str) -> None:
    mine, other = load_problems(f"{task}:2", seed=5)
    assert mine.answer != other.answer
    assert graded(mine, boxed(mine.answer)).right
    assert graded(mine, f"The answer is {mine.answer}.").right
    assert not graded(mine, boxed(other.answer)).right


def test_a_verifier_gets_the_number_without_its_separator() -> None:
    """gsm_symbolic's takes the first digits, and so would call 7,000 a 7."""
    problems = load_problems("gsm_symbolic:20")
    large = next(made for made in problems if int(made.answer) >= 1000)
    small = next(made for made in problems if int(made.answer) < 1000)
    assert graded(large, boxed(rf"\${int(large.answer):,} \text{{ dollars}}")).right
    assert not graded(small, boxed(f"{small.answer},000")).right


def test_partial_credit_is_not_right() -> None:
    [made] = load_problems("word_sorting:1")
    assert not graded(made, boxed(", ".join(reversed(made.answer.split(", "))))).right


@pytest.mark.parametrize("given", ["__import__('nothing')", "[[", r"\frac{1}{0}", "nan"])
@pytest.mark.parametrize("task", ["countdown", "binary_matrix", "graph_color", "rubiks_cube"])
def test_a_verifier_that_breaks_on_an_odd_answer_calls_it_wrong(task: str, given: str) -> None:
    [made] = load_problems(f"{task}:1")
    assert graded(made, boxed(given)) == Graded(given, False)


@pytest.mark.parametrize(
    ("module", "made"),
    [
        ("math_verify", problem("42")),
        ("reasoning_gym.factory", Problem("leg_counting:0", "?", "4", "leg_counting", {})),
    ],
)
def test_a_missing_extra_names_the_fix(monkeypatch: pytest.MonkeyPatch, module: str, made: Problem) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"pip install 'specreason-graph\[bench\]'"):
        graded(made, boxed("42"))
