"""Finished work survives kills, restarts and other writers, and is never mixed with work of other settings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.bench.journal import Journal, read_journal

SETTINGS = {"base_model": "b", "settings": {"temperature": 0.0}, "judges": ("paper",)}
WRITER = """
import sys
from pathlib import Path
from specreason_graph.tools.bench.journal import Journal

journal = Journal(Path(sys.argv[1]), {})
print("open", flush=True)
input()
for number in range(200):
    journal.append({"writer": sys.argv[2], "number": number, "text": sys.argv[2] * 20_000})
"""


def test_records_survive_and_come_back_in_their_order(tmp_path: Path) -> None:
    """Whatever line ends their texts hold, and with the settings that they were made with."""
    path = tmp_path / "new" / "run.jsonl"
    records = [{"problem": f"p{number}", "text": f"{number}\n\nü\u2028\r\x85end"} for number in (3, 1, 2)]
    for record in records:
        Journal(path, SETTINGS).append(record)
    assert Journal(path, SETTINGS).records() == records
    assert read_journal(path) == (json.loads(json.dumps(SETTINGS)), records)


@pytest.mark.parametrize("kept", [1, 20, -2])
def test_a_record_that_a_kill_cut_off_is_dropped_and_the_next_one_is_whole(tmp_path: Path, kept: int) -> None:
    """Else both would be lost: the new one would go on in the old one's line."""
    path = tmp_path / "run.jsonl"
    journal = Journal(path, SETTINGS)
    journal.append({"problem": "first"})
    cut = json.dumps({"problem": "second", "text": "x" * 20})[:kept]
    with path.open("a") as file:
        file.write(cut)
    assert read_journal(path)[1] == [{"problem": "first"}]
    again = Journal(path, SETTINGS)
    again.append({"problem": "third"})
    assert again.records() == [{"problem": "first"}, {"problem": "third"}]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({**SETTINGS, "settings": {"temperature": 0.6}}, "settings {'temperature': 0.0}, not {'temperature': 0.6}"),
        ({**SETTINGS, "draft_model": "d"}, "draft_model None, not 'd'"),
        ({"settings": SETTINGS["settings"], "judges": ["paper"]}, "base_model 'b', not None"),
    ],
    ids=["changed", "added", "left-out"],
)
def test_other_settings_are_refused_by_name_and_leave_the_file_alone(
    tmp_path: Path, changed: dict[str, object], name: str
) -> None:
    path = tmp_path / "run.jsonl"
    Journal(path, SETTINGS).append({"problem": "first"})
    before = path.read_bytes()
    with pytest.raises(ConfigError) as refused:
        Journal(path, changed)
    assert f"{path} was begun with {name}" in str(refused.value)
    assert path.read_bytes() == before


def test_two_processes_at_once_write_whole_lines(tmp_path: Path) -> None:
    """Long ones, which no buffer takes at once; and each writer's own stay in their order."""
    path = tmp_path / "run.jsonl"
    Journal(path, {})
    writers = [
        Popen([sys.executable, "-c", WRITER, str(path), name], stdin=PIPE, stdout=PIPE, text=True) for name in "ab"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    records = read_journal(path)[1]
    for name in "ab":
        own = [record for record in records if record["writer"] == name]
        assert [record["number"] for record in own] == list(range(200))
        assert all(record["text"] == name * 20_000 for record in own)
    assert len(path.read_text().splitlines()) == 401


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"some text\n",
        b'["a list"]\n',
        b'{"problem": "a", "answer": "1"}\n',
        b"PAR1\xff\xfe\x00\n",
    ],
    ids=["empty", "text", "list", "problems", "binary"],
)
def test_what_is_no_journal_is_told_and_kept(tmp_path: Path, content: bytes) -> None:
    """Such as a file of problems, named by mistake: nothing is written to it."""
    path = tmp_path / "some.file"
    path.write_bytes(content)
    for open_it in (read_journal, lambda path: Journal(path, SETTINGS)):
        with pytest.raises(ConfigError, match=r"some\.file"):
            open_it(path)
    assert path.read_bytes() == content


def test_a_run_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.jsonl: No such file"):
        read_journal(tmp_path / "none.jsonl")
