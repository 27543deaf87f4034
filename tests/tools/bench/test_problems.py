"""Problems of files and of reasoning-gym."""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.bench.problems import load_problems

GSM8K = {"question": "How many?", "answer": "2 * 600 = <<2*600=1200>>1200\n#### 1,200"}
GPQA = {
    "Question": "Which?",
    "Correct Answer": "right\n",
    "Incorrect Answer 1": "wrong 1",
    "Incorrect Answer 2": "wrong 2",
    "Incorrect Answer 3": "wrong 3",
    "Explanation": "because",
}


def jsonl(folder: Path, *rows: Any) -> str:
    path = folder / "set.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("row", "text", "answer"),
    [
        (GSM8K, "How many?", "1200"),
        ({"problem": "Find it.", "answer": "042", "solution": "..."}, "Find it.", "042"),
        ({"ID": "2024-I-1", "Problem": "Find it.", "Answer": 42}, "Find it.", "42"),
        ({"question": "Find it.", "answer": "42"}, "Find it.", "42"),
        ({"problem": "Where?", "answer": "(1,2)", "level": 3}, "Where?", "(1,2)"),
        ({"text": "As in the book.", "label": "easy", "problem": "Find it.", "answer": "42"}, "Find it.", "42"),
        ({"text": "As in the book.", "label": "easy", "question": "Find it.", "answer": "42"}, "Find it.", "42"),
        ({"question": None, "A": 1, "B": 2, "C": 3, "D": 4, "problem": "Find it.", "answer": "4"}, "Find it.", "4"),
    ],
    ids=[
        "gsm8k",
        "aime-2024",
        "aime-2024-int",
        "aime-2025",
        "comma-that-is-no-separator",
        "ours-beside-those-of-v-star",
        "gsm8k-beside-those-of-v-star",
        "ours-beside-those-of-hr-bench",
    ],
)
def test_columns_of_the_usual_sets(tmp_path: Path, row: dict[str, Any], text: str, answer: str) -> None:
    [problem] = load_problems(jsonl(tmp_path, row))
    assert (problem.id, problem.text, problem.answer) == ("set:0", text, answer)


def test_gpqa_letter_stands_at_the_right_option(tmp_path: Path) -> None:
    """And is spread over A to D, so that a model that always says one letter is right at chance."""
    problems = load_problems(jsonl(tmp_path, *[GPQA] * 400))
    for problem in problems:
        assert f"\n{problem.answer}) right\n" in problem.text
        assert [line[:2] for line in problem.text.splitlines() if line[1:2] == ")"] == ["A)", "B)", "C)", "D)"]
    counts = Counter(problem.answer for problem in problems)
    assert sorted(counts) == ["A", "B", "C", "D"]
    assert min(counts.values()) > 70


def test_gpqa_order_follows_from_the_seed_and_the_row(tmp_path: Path) -> None:
    source = jsonl(tmp_path, *[GPQA] * 20)
    assert load_problems(source, seed=3) == load_problems(source, seed=3)
    assert load_problems(source, seed=3) != load_problems(source, seed=4)
    assert load_problems(source, seed=3, skip=5, limit=7) == load_problems(source, seed=3)[5:12]


def test_parquet_and_jsonl_hold_the_same_problems(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = [{"Problem": f"Is it {i}?", "Answer": i} for i in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set.parquet")
    source = str(tmp_path / "set.parquet")
    assert load_problems(source) == load_problems(jsonl(tmp_path, *rows))
    assert [problem.id for problem in load_problems(source, skip=3)] == ["set:3", "set:4"]


def test_a_problem_may_hold_line_separators_and_blank_lines_keep_the_ids(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text('{"problem": "a\u2028b", "answer": "1"}\n\n{"problem": "c", "answer": "2"}\n', encoding="utf-8")
    assert [(p.id, p.text) for p in load_problems(str(path))] == [("set:0", "a\u2028b"), ("set:2", "c")]


@pytest.mark.parametrize("task", ["gsm_symbolic", "acre"])
def test_a_task_makes_the_same_problem_whatever_is_skipped(task: str) -> None:
    """acre makes other problems when it is told another size."""
    whole = load_problems(f"{task}:8", seed=1)
    assert [problem.id for problem in whole] == [f"{task}:{i}" for i in range(8)]
    assert load_problems(f"{task}:3", seed=1, skip=5) == whole[5:]
    assert load_problems(f"{task}:8", seed=1, skip=2, limit=3) == whole[2:5]
    assert load_problems(f"{task}:8", seed=2) != whole


def test_a_task_without_a_count_has_fifty() -> None:
    assert len(load_problems("gsm_symbolic")) == 50


def test_unknown_task_names_the_closest() -> None:
    with pytest.raises(ConfigError, match=r"'gsm_symbol'.*closest tasks are gsm_symbolic, "):
        load_problems("gsm_symbol:5")


@pytest.mark.parametrize("source", ["gsm_symbolic:0", "gsm_symbolic:-1", "gsm_symbolic:ten", "gsm_symbolic:"])
def test_count_must_be_a_positive_whole_number(source: str) -> None:
    with pytest.raises(ConfigError, match="must be from 1 to"):
        load_problems(source)


def test_a_task_that_needs_more_than_a_seed_is_refused() -> None:
    with pytest.raises(ConfigError, match="can't make composite"):
        load_problems("composite:5")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds 0 problems"),
        ('{"problem": "a", "answer": "1"}\n\n{"problem": \n', "line 3 of .* is not JSON"),
        ('{"problem": "a", "answer": "1"}\n["b", "2"]\n', "line 2 of .* is not a JSON object"),
        ('{"text": "a", "answer": "1"}\n', "empty ones, are text, answer, but should hold one of: problem, answer; "),
        ('{"problem": "a", "answer": null}\n', r"row 1 of .*set\.jsonl \(set:0\) has no problem with an answer"),
        (
            '{"problem": "a", "answer": "1"}\n\n{"problem": " ", "answer": "1"}\n',
            r"row 3 of .* \(set:2\) has no problem",
        ),
        ('{"problem": "a", "answer": NaN}\n', "without empty ones, are problem, but"),
    ],
    ids=["empty", "not-json", "no-object", "other-columns", "no-answer", "blank", "not-a-number"],
)
def test_a_file_that_holds_no_problems_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_problems(str(path))


def test_other_settings_that_cannot_work(tmp_path: Path) -> None:
    source = jsonl(tmp_path, GSM8K)
    (tmp_path / "set.parquet").write_bytes(b"no parquet")
    with pytest.raises(ConfigError, match=r"there is no file missing\.jsonl"):
        load_problems("missing.jsonl")
    with pytest.raises(ConfigError, match="can't be read as parquet"):
        load_problems(str(tmp_path / "set.parquet"))
    with pytest.raises(ConfigError, match="holds 1 problems, none behind the first 1"):
        load_problems(source, skip=1)
    with pytest.raises(ConfigError, match="limit: 0"):
        load_problems(source, limit=0)
    with pytest.raises(ConfigError, match="skip: -1"):
        load_problems(source, skip=-1)


@pytest.mark.parametrize(
    ("module", "source"), [("pyarrow.parquet", "set.parquet"), ("reasoning_gym.factory", "gsm_symbolic:2")]
)
def test_a_missing_extra_names_the_fix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, source: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.chdir(tmp_path)
    Path("set.parquet").touch()
    with pytest.raises(ConfigError, match=r"pip install 'specreason-graph\[bench\]'"):
        load_problems(source)
