"""Problems about images, in the columns of the sets that papers report."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
from drawings import file

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.bench.grading import graded
from specreason_graph.tools.bench.problems import Problem, check_unchanged, load_problems

RED = file("red")
POPE = {"question": "Is there a cow in the image?", "answer": "yes", "category": "random"}
VSTAR = {
    "image": "direct/sa_1.png",
    "text": "What is its colour?\n(A) It is red.\n(B) It is blue.\nAnswer with the option's letter directly.",
    "label": "A",
}
HR = {"question": "Where is it?", "answer": "C", "A": "left", "B": "above", "C": "right", "D": "below"}


def jsonl(folder: Path, *rows: Any) -> str:
    (folder / "direct").mkdir(exist_ok=True)
    (folder / "direct" / "sa_1.png").write_bytes(RED)
    path = folder / "set.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def parquet(folder: Path, *rows: Any) -> str:
    path = folder / "set.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return str(path)


def test_pope_in_parquet(tmp_path: Path) -> None:
    """The image inside the file, as datasets write it."""
    [problem] = load_problems(parquet(tmp_path, {**POPE, "image": {"bytes": RED, "path": "1.png"}}))
    assert problem.text == "Is there a cow in the image?\n\nAnswer with yes or no."
    assert problem.answer == "yes"
    assert problem.image is not None
    assert problem.image.data == RED
    blocks: Any = problem.message.content
    assert [block["type"] for block in blocks] == ["image", "text"]
    assert blocks[1]["text"] == problem.text


def test_vstar_with_images_beside_the_file(tmp_path: Path) -> None:
    problems = load_problems(jsonl(tmp_path, *[VSTAR] * 40))
    for problem in problems:
        assert problem.image is not None
        assert problem.image.data == RED
        assert f"\n{problem.answer}) It is red." in problem.text
        assert problem.text.endswith("Answer with the letter of the right option: A or B.")
        assert "directly" not in problem.text
    assert set(Counter(problem.answer for problem in problems)) == {"A", "B"}


def test_hr_bench_with_images_in_base_64(tmp_path: Path) -> None:
    """And options whose order follows from the seed: who always says C is right at chance."""
    source = parquet(tmp_path, *[{**HR, "image": base64.b64encode(RED).decode()}] * 40)
    problems = load_problems(source, seed=3)
    for problem in problems:
        assert f"\n{problem.answer}) right" in problem.text
        assert problem.image is not None
    assert len({problem.answer for problem in problems}) == 4
    assert problems == load_problems(source, seed=3)


@pytest.mark.parametrize("nothing", [None, "", float("nan")])
def test_a_question_may_have_fewer_options(tmp_path: Path, nothing: Any) -> None:
    """Guards chance: an option that reads None or nan is none that anybody would take."""
    [problem] = load_problems(jsonl(tmp_path, {**HR, "answer": "A", "C": nothing, "D": nothing}))
    assert problem.text.endswith("Answer with the letter of the right option: A or B.")
    assert f"\n{problem.answer}) left" in problem.text


@pytest.mark.parametrize("image", [RED, base64.encodebytes(RED).decode(), {"bytes": RED, "path": None}])
def test_an_image_in_the_row_is_read_in_every_shape(tmp_path: Path, image: Any) -> None:
    [problem] = load_problems(parquet(tmp_path, {**POPE, "image": image}))
    assert problem.image is not None
    assert problem.image.data == RED


def test_a_row_may_have_no_image(tmp_path: Path) -> None:
    [problem] = load_problems(jsonl(tmp_path, {**POPE, "image": {"bytes": None, "path": None}}))
    assert problem.image is None


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({**POPE, "image": "../secret.png"}, "no image"),
        ({**POPE, "image": "/etc/passwd"}, "no image"),
        ({**POPE, "image": base64.b64encode(b"text").decode()}, "no PNG"),
        ({**POPE, "image": 7}, "holds int"),
        ({**POPE, "image": "direct/../../secret.png"}, "no image"),
        ({**POPE, "image": "not there.png"}, "no image 'not there.png' beside the file"),
        ({**POPE, "image": base64.b64encode(RED[:-9]).decode()}, "breaks off before its end"),
        ({**VSTAR, "label": "D"}, "the right option is 'D', of A, B"),
        ({**VSTAR, "text": "What?\n(A) red."}, "its options are A, and should be 2 to 4"),
        ({**VSTAR, "text": "What?\n(A)\n(B) blue.", "label": "B"}, "its options are B, and"),
        ({**VSTAR, "text": "What?\n(A)\n(B) blue.\n(C) red."}, "the right option is 'A', of B, C"),
        (
            {**VSTAR, "text": "What?\n" + "\n".join(f"({letter}) is" for letter in "ABCDE")},
            "its options are A, B, C, D, E",
        ),
        ({**HR, "answer": "E"}, "the right option is 'E'"),
        ({**HR, "A": None, "B": "", "D": float("nan")}, "its options are C, and"),
        ({**HR, "question": None}, "no problem with an answer: its columns, without empty ones, are answer, A, B"),
    ],
)
def test_what_is_no_image_or_no_option_is_told_with_its_row(tmp_path: Path, row: Any, says: str) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.png").write_bytes(RED)
    with pytest.raises(ConfigError, match=rf"^problems: row 2 of .*set\.jsonl \(set:1\)[: ].*{says}"):
        load_problems(jsonl(tmp_path / "inside", VSTAR, row))


@pytest.mark.parametrize("written", [f"data:image/png;base64,{base64.b64encode(RED).decode()}", "iVBORw0KGgo="[:-2]])
def test_base_64_that_can_not_be_read_is_not_told_again(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigError, match="there is no image beside the file, and it is no base64") as refused:
        load_problems(jsonl(tmp_path, {**POPE, "image": written}))
    assert "iVBOR" not in str(refused.value)


def test_an_empty_option_is_none(tmp_path: Path) -> None:
    """And does not swallow the line behind it."""
    [problem] = load_problems(jsonl(tmp_path, {**VSTAR, "text": "What?\n(A)\n(B) blue.\r\n(C)  red.\n", "label": "B"}))
    assert sorted(problem.text.splitlines()[2:4], key=lambda line: line[3:]) == [
        f"{problem.answer}) blue.", f"{'AB'.replace(problem.answer, '')}) red.",
    ]  # fmt: skip


def test_images_that_the_users_own_folder_links_to(tmp_path: Path) -> None:
    """As Hugging Face's cache does: the data file and its images are links into a folder beside the snapshots."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    (snapshot / "direct").mkdir(parents=True)
    (blobs / "1").write_bytes(RED)
    (blobs / "2").write_text(json.dumps(VSTAR), encoding="utf-8")
    (snapshot / "direct" / "sa_1.png").symlink_to("../../../blobs/1")
    (snapshot / "set.jsonl").symlink_to("../../blobs/2")
    [problem] = load_problems(str(snapshot / "set.jsonl"))
    assert problem.image is not None
    assert problem.image.data == RED


def test_problems_of_text_stay_as_they_were(tmp_path: Path) -> None:
    [problem] = load_problems(jsonl(tmp_path, POPE))
    assert (problem.text, problem.message.content) == (POPE["question"], POPE["question"])


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("yes", True),
        ("Yes.", True),
        ("**Yes**, there is one", True),
        ("\\text{yes}", True),
        ("no", False),
        ("not yes", False),
        ("1", False),
    ],
)
def test_yes_and_no_are_graded(given: str, right: bool) -> None:
    problem = Problem("p:0", "Is there?", "yes")
    assert graded(problem, f"So \\boxed{{{given}}}").right is right


def test_a_journal_is_of_the_image_that_its_problem_had(tmp_path: Path) -> None:
    """Guards figures: the file beside the problems may be another one when the command is run again."""
    path = jsonl(tmp_path, VSTAR)
    before = load_problems(path)
    records = [{"problem": problem.id, "mark": problem.mark} for problem in before]
    check_unchanged(load_problems(path), [*records, {"problem": before[0].id}])  # the last: of an older version
    (tmp_path / "direct" / "sa_1.png").write_bytes(file("blue"))
    with pytest.raises(ConfigError, match="problem set:0 is another one"):
        check_unchanged(load_problems(path), records)
