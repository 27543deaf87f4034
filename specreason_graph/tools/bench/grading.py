"""Whether what was written answers a problem."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple, cast

from specreason_graph.tools.bench.problems import YES_OR_NO, Problem
from specreason_graph.tools.extra import extra

_SECONDS = 5
_BOX = re.compile(r"\\boxed\s*\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_CUE = re.compile(r"\banswer\**\s*(?:is\b|:)[\s:*]*", re.IGNORECASE)
_SENTENCE = re.compile(r".+?(?=\.?\s*$|\.\s)", re.MULTILINE)
# Not the ** of a power.
_MARKUP = re.compile(r"(?<![\w)])\*\*|\*\*(?![\w(])|(?<!\\)\$|\\[()\[\]]")
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}")
_LETTER = re.compile(r"(?:(?:option|choice|answer)\s*)?[(\[]?([A-D])(?:[)\]:.].*|)", re.IGNORECASE | re.DOTALL)
# A number and what it counts. The words kept out change the number, so that "5 million" is not 5.
_AMOUNT = re.compile(
    r"(?P<sign>-?)[€£¥]?\s*(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.?\d+)"
    r"(?:\s+(?!(?:and|or|pi|sqrt|half|halves|thirds|hundred|thousand|million|billion|trillion|dozen)\b)"
    r"[A-Za-z]{2}[A-Za-z /]*(?:\^\{?\d\}?)?)?"
)


class Graded(NamedTuple):
    """The answer as it was given, and whether it is right."""

    given: str | None
    right: bool


def graded(problem: Problem, text: str) -> Graded:
    """Grade what was written for a problem, by the task's own verifier or as mathematics.

    Off the main thread, comparing has no time limit: math-verify's works by signals. Some verifiers of reasoning-gym
    (binary_matrix, n_queens, spiral_matrix, string_insertion) call `eval` on the answer.

    Raises:
        ConfigError: the extra `bench` is not installed.
    """
    given = given_answer(text)
    if given is None:
        return Graded(None, False)
    if problem.task is not None and problem.entry is not None:
        return Graded(given, _passes(problem.task, problem.entry, given))
    if problem.answer in YES_OR_NO:
        said = re.match(r"[a-z]+", _MARKUP.sub("", _plain(given)).lower())
        return Graded(given, said is not None and said[0] == problem.answer)
    if re.fullmatch("[A-D]", problem.answer):
        letter = _LETTER.fullmatch(_plain(given))
        return Graded(given, letter is not None and letter[1].upper() == problem.answer)
    return Graded(given, _equals(problem.answer, given))


def given_answer(text: str) -> str | None:
    r"""What the last \boxed{…} holds, or in text without one, what the last "answer is" or "Answer:" says."""
    boxes = list(_BOX.finditer(text))
    for box in reversed(boxes):
        if content := _closed(text, box.end()):
            return content
    cues = list(_CUE.finditer(text))
    if boxes or not cues:
        return None
    sentence = _SENTENCE.match(text, cues[-1].end())
    return (_MARKUP.sub("", sentence[0]).strip() or None) if sentence else None


def _closed(text: str, start: int) -> str:
    """The text from `start` up to the brace that closes it; "" if none does."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return text[start : brace.start()].strip()
    return ""


def _passes(task: str, entry: Mapping[str, Any], given: str) -> bool:
    score = _verifier(task)
    for form in _forms(given):
        try:
            if score(answer=form, entry=entry) >= 1.0:
                return True
        except Exception:  # Verifiers parse the answer, and not all expect that it may not be one.
            continue
    return False


@cache
def _verifier(task: str) -> Callable[..., float]:
    return cast(Callable[..., float], extra("reasoning_gym.factory", f"grading {task}").get_score_answer_fn(task))


def _equals(answer: str, given: str) -> bool:
    math: Any = extra("math_verify", "grading")
    seconds = _SECONDS if threading.current_thread() is threading.main_thread() else None
    if _plain(answer) == _plain(given):
        return True
    gold = math.parse(f"${answer}$", parsing_timeout=seconds)
    return any(
        math.verify(gold, math.parse(rf"\boxed{{{form}}}", parsing_timeout=seconds), timeout_seconds=seconds)
        for form in _forms(given)
    )


def _forms(given: str) -> list[str]:
    """The readings of an answer that a verifier is asked about: as given, without markup, the bare number."""
    plain = _plain(given)
    amount = _AMOUNT.fullmatch(plain)
    if amount is None:
        return [given, plain]
    number = amount["sign"] + amount["number"].replace(",", "")
    # gsm_symbolic's verifier takes the first digits it finds, so 1,200 must not be read as 1.
    return [number] if "," in amount["number"] else [given, plain, number]


def _plain(given: str) -> str:
    """The answer without LaTeX's text, spacing and dollars, and without the full stop."""
    text = _WRAPPED.sub(r" \1 ", given).replace("{,}", ",")
    text = re.sub(r"\\?\$|\\!|(?<=\d)\\,(?=\d)", "", text)
    return " ".join(re.sub(r"\\[,;: ]|~", " ", text).split()).rstrip(".")
