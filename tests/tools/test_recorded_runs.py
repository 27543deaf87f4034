"""Runs of a journal, by name: whatever stands in it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.recorded_runs import page_of_run

from .journals import journal


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return journal(tmp_path / "b#1.jsonl", "ours")


def changed(file: Path, about: dict[str, Any], outcome: dict[str, Any]) -> None:
    first, second = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    lines = [{"settings": first["settings"] | about}, second | outcome]
    file.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")


def test_a_problem_that_is_not_there_is_told_with_some_that_are(file: Path) -> None:
    with pytest.raises(ConfigError, match="it has 'cakes:1'"):
        page_of_run(f"{file}#cakes")
    with pytest.raises(ConfigError, match="sample: "):
        page_of_run(f"{file}#cakes:1", sample=3)


def test_a_problem_s_name_may_hold_anything(file: Path) -> None:
    """Also a mark, a path, and what ends a line elsewhere than in JSON."""
    name = "../a#b\u2028c\x85<script>"
    changed(file, {}, {"problem": name})
    assert (
        page_of_run(f"{file}#{name}").about
        == "../a#b\N{SYMBOL FOR NEWLINE}c\N{REPLACEMENT CHARACTER}<script>, ours, right"
    )


@pytest.mark.parametrize(
    "change",
    [{"arm": 3}, {"arm": "ours@x"}, {"steps": None}, {"seconds": "x"}, {"usage": []}, {"question": 1}, {"sample": "0"}],
)
def test_an_odd_outcome_is_refused_in_one_line(change: dict[str, Any], file: Path) -> None:
    changed(file, {}, change)
    with pytest.raises(ConfigError) as caught:
        page_of_run(f"{file}#cakes:1")
    assert "\n" not in str(caught.value)


def test_an_outcome_that_is_neither_right_nor_wrong_is_called_neither(file: Path) -> None:
    changed(file, {}, {"right": []})
    assert page_of_run(f"{file}#cakes:1").about == "cakes:1, ours"


@pytest.mark.parametrize(
    "change",
    [{"judges": 3}, {"judges": [3]}, {"policy": {"name": 1}}, {"settings": []}, {"preset": {}}, {"base_model": 3}],
)
def test_an_odd_journal_has_pages_or_is_refused(change: dict[str, Any], file: Path) -> None:
    """What judged then is not known; the recorded scores are."""
    changed(file, change, {})
    with suppress(ConfigError):
        assert page_of_run(f"{file}#cakes:1").judged == 6
