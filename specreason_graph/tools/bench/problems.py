"""Problems with known answers: files in the columns of the usual sets, or what reasoning-gym makes of a seed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from langchain_core.messages import HumanMessage

from specreason_graph.contract.errors import ConfigError, SpecReasonError, retold
from specreason_graph.endpoint.image import Image
from specreason_graph.models.conversation import digest
from specreason_graph.models.image_file import as_block
from specreason_graph.tools.bench.image_problems import image_in, is_empty, options_in, right_first
from specreason_graph.tools.extra import extra

# The size that a reasoning-gym task is told, since some (acre) make other problems when it differs.
_GYM_SIZE = 1_000
_GYM_COUNT = 50
_GYM_MOST = 100_000
_LETTERS = "ABCD"
YES_OR_NO = ("yes", "no")
"""Answers that are graded as such."""


class _Columns(NamedTuple):
    text: str
    answer: str
    wrong: tuple[str, ...] = ()
    letters: tuple[str, ...] = ()
    """Of options that may be empty; the answer is one of them."""

    @property
    def filled(self) -> tuple[str, ...]:
        """Those that can't be empty."""
        return self.text, self.answer, *self.wrong

    def fit(self, row: Mapping[str, Any]) -> bool:
        """Whether a row has these."""
        return row.keys() >= {*self.letters} and not any(is_empty(row.get(name)) for name in self.filled)


_VSTAR = _Columns("text", "label")
_COLUMNS = (  # the first that fit: what two sets share, such as text and label, says least
    _Columns("problem", "answer"),  # our own, MATH-500, AIME 2024 of HuggingFaceH4, AIME 2025
    _Columns("Problem", "Answer"),  # AIME 2024 of Maxwell-Jia
    _Columns("question", "answer", letters=tuple(_LETTERS)),  # HR-Bench
    _Columns("question", "answer"),  # GSM8K, AIME 2025; with an image POPE
    _Columns("Question", "Correct Answer", tuple(f"Incorrect Answer {i}" for i in (1, 2, 3))),  # GPQA
    _VSTAR,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its answer; `task` and `entry` are what reasoning-gym's verifier asks for."""

    id: str
    text: str
    answer: str
    task: str | None = None
    entry: Mapping[str, Any] | None = None
    image: Image | None = None

    @property
    def message(self) -> HumanMessage:
        """What a model is asked, the image before the text."""
        if self.image is None:
            return HumanMessage(self.text)
        blocks: list[Any] = [as_block(self.image), {"type": "text", "text": self.text}]
        return HumanMessage(blocks)

    @property
    def mark(self) -> str:
        """A hash of what is asked and what is right: a file's problem may change while its name stays."""
        return digest([self.text, self.answer, self.image and self.image.uuid])


@contextmanager
def asking(problem: Problem) -> Iterator[None]:
    """An error says of which problem it came: one alone may be at fault, such as by an image that a server refuses."""
    try:
        yield
    except SpecReasonError as error:
        raise retold(error, f"{error} (at problem {problem.id})") from error


def check_unchanged(problems: Iterable[Problem], records: Iterable[Mapping[str, Any]]) -> None:
    """That a journal's records are of these problems, where it has some of their names.

    Raises:
        ConfigError: one has changed since.
    """
    marks = {problem.id: problem.mark for problem in problems}
    for record in records:
        now, then = marks.get(record["problem"]), record.get("mark")
        if now is not None and then is not None and now != then:
            raise ConfigError(
                f"out: problem {record['problem']} is another one than when it was begun (its text, answer or image); "
                "name another file, or put the problem back"
            )


def load_problems(source: str, *, skip: int = 0, limit: int | None = None, seed: int = 0) -> list[Problem]:
    """The problems of a .jsonl or .parquet file, or `count` of a reasoning-gym task (`gsm_symbolic:50`).

    `skip` leaves out a file's first problems, and starts a task's `count` problems later; neither it nor `limit`
    changes any problem. The seed makes a task's problems and the order of GPQA's options.

    Raises:
        ConfigError: there is no such file or task, it holds no problem, or it can't be read.
    """
    if skip < 0:
        raise ConfigError(f"skip: {skip} is below 0; give the number of problems to leave out")
    if limit is not None and limit < 1:
        raise ConfigError(f"limit: {limit} is below 1; leave it out to take every problem")
    if source.endswith((".jsonl", ".parquet")):
        return _from_file(Path(source), skip, limit, seed)
    return _from_gym(source, skip, limit, seed)


def _from_file(path: Path, skip: int, limit: int | None, seed: int) -> list[Problem]:
    if not path.is_file():
        raise ConfigError(f"problems: there is no file {path}")
    rows = _parquet_rows(path) if path.suffix == ".parquet" else _jsonl_rows(path)
    if skip >= len(rows):
        raise ConfigError(f"problems: {path} holds {len(rows)} problems, none behind the first {skip}")
    return [_from_row(path, index, row, seed) for index, row in rows[skip:][:limit]]


def _jsonl_rows(path: Path) -> list[tuple[int, Any]]:
    rows = []
    # As bytes, since only there a line ends at \n alone, and not at the other line ends that JSON allows in a string.
    with path.open("rb") as lines:
        for index, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                rows.append((index, json.loads(line)))
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"problems: line {index + 1} of {path} is not JSON: {error}") from None
            if not isinstance(rows[-1][1], dict):
                raise ConfigError(f"problems: line {index + 1} of {path} is not a JSON object")
    return rows


def _parquet_rows(path: Path) -> list[tuple[int, Any]]:
    parquet = extra("pyarrow.parquet", f"problems: reading {path.name}")
    try:
        return list(enumerate(parquet.read_table(path).to_pylist()))
    except (OSError, ValueError, RuntimeError) as error:  # what it doesn't know is a NotImplementedError
        raise ConfigError(f"problems: {path} can't be read as parquet: {error}") from None


def _from_row(path: Path, index: int, row: Mapping[str, Any], seed: int) -> Problem:
    name = f"{path.stem}:{index}"
    where, random = f"problems: row {index + 1} of {path} ({name})", Random(f"{seed}:{index}")
    columns = next((columns for columns in _COLUMNS if columns.fit(row)), None)
    if columns is None:
        known = "; ".join(", ".join((*columns.filled, *columns.letters)) for columns in _COLUMNS)
        there = ", ".join(name for name, value in row.items() if not is_empty(value))
        raise ConfigError(
            f"{where} has no problem with an answer: its columns, without empty ones, are {there or 'none'}, but "
            f"should hold one of: {known}"
        )
    shown = image_in(path, row, where)
    text, right, *wrong = (str(row[name]).strip() for name in columns.filled)
    options = [right, *wrong] if wrong else []
    if columns.letters:
        options = right_first({letter: row[letter] for letter in columns.letters}, right, where)
    elif columns == _VSTAR:
        text, lettered = options_in(text)
        options = right_first(lettered, right, where)
    if options:
        return Problem(name, *_with_options(text, options, random), image=shown)
    answer = _without_solution(right)
    if shown is not None and answer.lower() in YES_OR_NO:
        text, answer = f"{text}\n\nAnswer with yes or no.", answer.lower()
    return Problem(name, text, answer, image=shown)


def _with_options(question: str, options: list[str], random: Random) -> tuple[str, str]:
    """The question with its shuffled options, and the letter of the first of them as given."""
    order = list(range(len(options)))
    random.shuffle(order)
    lines = "\n".join(f"{letter}) {options[i]}" for letter, i in zip(_LETTERS, order, strict=False))
    letters = _LETTERS[: len(options)]
    listed = f"{', '.join(letters[:-1])} or {letters[-1]}"
    text = f"{question}\n\n{lines}\n\nAnswer with the letter of the right option: {listed}."
    return text, _LETTERS[order.index(0)]


def _without_solution(answer: str) -> str:
    """GSM8K's answer is a worked solution, then `#### 1,200`."""
    _, marker, final = answer.rpartition("####")
    return re.sub(r"(?<=\d),(?=\d)", "", final.strip()) if marker else answer


def _from_gym(source: str, skip: int, limit: int | None, seed: int) -> list[Problem]:
    task, colon, number = source.partition(":")
    count = int(number[:9]) if number.isdecimal() else 0 if colon else _GYM_COUNT
    if not 1 <= count <= _GYM_MOST:
        raise ConfigError(f"problems: the count in {source[:99]} must be from 1 to {_GYM_MOST}, as in {task[:40]}:50")
    gym = extra("reasoning_gym.factory", f"problems: {source}")
    if task not in gym.DATASETS:
        closest = ", ".join(get_close_matches(task, gym.DATASETS, cutoff=0.0))
        raise ConfigError(
            f"problems: {task!r} is neither a .jsonl or .parquet file nor a task of reasoning-gym; "
            f"the closest tasks are {closest}"
        )
    try:
        dataset = gym.create_dataset(task, seed=seed, size=max(_GYM_SIZE, skip + count))
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(f"problems: reasoning-gym can't make {task} from a seed alone ({error})") from None
    asked = range(skip, skip + count)[:limit]
    return [_from_entry(task, i, dataset[i]) for i in asked]


def _from_entry(task: str, index: int, entry: Mapping[str, Any]) -> Problem:
    # Tasks with many right answers (graph_color) give none; their verifier knows.
    return Problem(f"{task}:{index}", entry["question"], entry["answer"] or "", task, entry)
