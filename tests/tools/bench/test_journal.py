"""Finished work survives kills, restarts and other writers, and is never mixed with work of other settings."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from specreason_graph.contract.errors import ConfigError, SpecReasonError
from specreason_graph.tools.bench.journal import Journal, read_journal

SETTINGS = {"base_model": "b", "settings": {"temperature": 0.0}, "judges": ("paper",)}
WRITER = """
import sys
from pathlib import Path
from specreason_graph.tools.bench.journal import Journal

with Journal(Path(sys.argv[1]), {}) as journal:
    print("open", flush=True)
    input()
"""


def policy(name: str, weight: float) -> dict[str, object]:
    return {"name": name, "weights": {"likelihood.lowest": weight}, "intercept": weight}


def test_records_survive_and_come_back_in_their_order(tmp_path: Path) -> None:
    """Whatever line ends their texts hold, and with the settings that they were made with."""
    path = tmp_path / "new" / "run.jsonl"
    records = [{"problem": f"p{number}", "text": f"{number}\n\nü\u2028\r\x85end"} for number in (3, 1, 2)]
    for record in records:
        with Journal(path, SETTINGS) as journal:
            journal.append(record)
    with Journal(path, SETTINGS) as journal:
        assert journal.records() == records
    assert read_journal(path) == (json.loads(json.dumps(SETTINGS)), records)


@pytest.mark.parametrize("kept", [1, 20, -2])
def test_a_record_that_a_kill_cut_off_is_dropped_and_the_next_one_is_whole(tmp_path: Path, kept: int) -> None:
    """Else both would be lost: the new one would go on in the old one's line."""
    path = tmp_path / "run.jsonl"
    with Journal(path, SETTINGS) as journal:
        journal.append({"problem": "first"})
    cut = json.dumps({"problem": "second", "text": "x" * 20})[:kept]
    with path.open("a") as file:
        file.write(cut)
    assert read_journal(path)[1] == [{"problem": "first"}]
    with Journal(path, SETTINGS) as again:
        again.append({"problem": "third"})
        assert again.records() == [{"problem": "first"}, {"problem": "third"}]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({**SETTINGS, "settings": {"temperature": 0.6}}, "settings.temperature 0.0, not 0.6"),
        ({**SETTINGS, "draft_model": "d"}, "draft_model None, not 'd'"),
        ({**SETTINGS, "draft_model": "d" * 999}, f"draft_model None, not '{'d' * 59}…"),
        ({"settings": SETTINGS["settings"], "judges": ["paper"]}, "base_model 'b', not None"),
        ({**SETTINGS, "judges": ["paper", "strict"]}, "judges ['paper'], not ['paper', 'strict']"),
        ({**SETTINGS, "policy": policy("mine", 1.0)}, "policy None, not 'mine'"),
    ],
    ids=["changed", "added", "long", "left-out", "listed", "policy"],
)
def test_other_settings_are_refused_by_name_and_leave_the_file_alone(
    tmp_path: Path, changed: dict[str, object], name: str
) -> None:
    path = tmp_path / "run.jsonl"
    with Journal(path, SETTINGS) as journal:
        journal.append({"problem": "first"})
    before = path.read_bytes()
    with pytest.raises(ConfigError) as refused:
        Journal(path, changed)
    assert f"{path} was begun with {name}" in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        ("mine", "other", "begun with policy 'mine', not 'other';"),
        ("mine", "mine", "begun with policy 'mine' as it was fitted then, not as it is now;"),
    ],
)
def test_another_policy_is_told_by_its_name_without_its_weights(tmp_path: Path, then: str, now: str, said: str) -> None:
    path = tmp_path / "run.jsonl"
    Journal(path, {"policy": policy(then, 1.0)}).close()
    with pytest.raises(ConfigError) as refused:
        Journal(path, {"policy": policy(now, 2.0)})
    assert said in str(refused.value)


@pytest.mark.parametrize("end", ["exit", "kill"])
def test_a_second_writer_is_refused_until_the_first_has_ended(tmp_path: Path, end: str) -> None:
    """Two would do the same work, and every cell would be there twice."""
    path = tmp_path / "run.jsonl"
    with Popen([sys.executable, "-c", WRITER, str(path)], stdin=PIPE, stdout=PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n"
        with pytest.raises(ConfigError, match=r"out: another process is writing .*run\.jsonl; wait"):
            Journal(path, {})
        assert read_journal(path) == ({}, [])  # to read is free
        if end == "kill":
            writer.kill()
        writer.communicate("\n", timeout=60)
    with Journal(path, {}) as journal:
        assert journal.records() == []


def full_behind(room: int) -> Callable[[int, bytes], int]:
    """`os.write` on a disk that takes so many bytes once, and then no more."""
    write = os.write

    def full(file: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        wrote, room = write(file, data[:room]), 0
        return wrote

    return full


def test_a_disk_that_is_full_loses_nothing_that_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a part of a record, and then no more; later the record is done again."""
    path = tmp_path / "run.jsonl"
    with Journal(path, SETTINGS) as journal:
        journal.append({"problem": "first"})
        with monkeypatch.context() as full:
            full.setattr(os, "write", full_behind(10))
            with pytest.raises(SpecReasonError, match=r"out: can't write .*No space left"):
                journal.append({"problem": "second"})
    with Journal(path, SETTINGS) as journal:
        journal.append({"problem": "second"})
        assert journal.records() == [{"problem": "first"}, {"problem": "second"}]


@pytest.mark.parametrize("room", [0, 10])
def test_a_disk_that_is_full_from_the_start_leaves_what_the_same_command_goes_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Guards the message: a file of half a first line was no run to the next start. So is a kill that came as early."""
    path = tmp_path / "run.jsonl"
    with monkeypatch.context() as full:
        full.setattr(os, "write", full_behind(room))
        with pytest.raises(SpecReasonError, match=r"No space left.*the same command goes on"):
            Journal(path, SETTINGS)
    assert path.stat().st_size == room
    for record in ({"problem": "first"}, {"problem": "second"}):
        with Journal(path, SETTINGS) as journal:
            journal.append(record)
    assert read_journal(path) == (json.loads(json.dumps(SETTINGS)), [{"problem": "first"}, {"problem": "second"}])


@pytest.mark.parametrize("path", ["", "/dev/null/run.jsonl", "a.file/run.jsonl"])
def test_where_nothing_can_be_written_is_said_at_once(tmp_path: Path, path: str) -> None:
    (tmp_path / "a.file").touch()
    with pytest.raises(ConfigError, match=r"^out: can't write .*(directory|exists)"):
        Journal(tmp_path / path, SETTINGS)


@pytest.mark.parametrize(
    "content",
    [
        b'{"settings": {"other',
        b"some text\n",
        b'["a list"]\n',
        b'{"problem": "a", "answer": "1"}\n',
        b"PAR1\xff\xfe\x00\n",
    ],
    ids=["a part of another's first line", "text", "list", "problems", "binary"],
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
