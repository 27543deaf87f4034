"""Whatever is typed, each command ends with a status of its own and says why, never with a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from typer.models import ArgumentInfo

from specreason_graph.contract.settings import Settings
from specreason_graph.testing import Script, ScriptedPair
from specreason_graph.tools.cli.app import app
from specreason_graph.tools.cli.options import chosen_pair

from .conftest import Specreason, at, serving

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", r"So \boxed{12}."]
NUMBERS = ["nan", "1e400", "-1", "9" * 5000, "x"]
TEXTS = ["", "a\nb", os.fsdecode(b"\xff"), "x" * 5000, "[1"]
FILES = ["", ".", "/dev/null/x", "/dev/full", "no/such", "x" * 5000, "binary", "deep.jsonl", "empty.jsonl"]
FILES += ["folder.jsonl", "folder.parquet", "binary.parquet", "other.jsonl", "deep.toml", "other.toml"]
COMMANDS: dict[str, Callable[..., object]] = {
    str(it.name or it.callback.__name__): it.callback for it in app.registered_commands if it.callback
}
SHARED = {*Settings.model_fields, *get_type_hints(chosen_pair), "html"}
"""Options of many commands; tried on one."""


@pytest.fixture(scope="module")
def servers() -> Iterator[ScriptedPair]:
    with serving(Script(STEPS, scores=[9, 2, 2], judge_mark="Evaluate"), Script(STEPS), "instruct") as pair:
        yield pair


@pytest.fixture
def works(
    servers: ScriptedPair, specreason: Specreason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[str]]:
    """Arguments with which each command works and soon ends, in a folder that holds what stands in a file's place."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(  # all of `serve` but the serving
        "specreason_graph.tools.cli.serve.asyncio", SimpleNamespace(run=lambda serving: serving.close())
    )
    Path("cows.jsonl").write_text(json.dumps({"problem": "How many legs?", "answer": "12"}), encoding="utf-8")
    Path("binary").write_bytes(b"\xff\xfe\x00PAR1" * 9)
    Path("binary.parquet").write_bytes(b"PAR1 and no more")
    Path("deep.jsonl").write_text("[" * 100_000, encoding="utf-8")
    Path("deep.toml").write_text(f"base = {'[' * 10_000}", encoding="utf-8")
    Path("other.toml").write_text("every = 5\nkey = 5\nbase = nan\n", encoding="utf-8")
    Path("other.jsonl").write_text('{"settings": {}}\n{"problem": 5}\n[]\n', encoding="utf-8")
    Path("empty.jsonl").touch()
    Path("run.json").write_text(json.dumps({"answer": None, "ended": None, "steps": []}), encoding="utf-8")
    for folder in ("folder.jsonl", "folder.parquet"):
        Path(folder).mkdir()
    pair = at(servers, "instruct")
    assert specreason("bench", "--problems=cows.jsonl", "--out=run.jsonl", *pair).status == 0
    return {
        "solve": ["How many legs?", *pair],
        "doctor": pair,
        "predict": ["--profile=2xA6000"],
        "bench": ["--problems=cows.jsonl", "--out=new.jsonl", "--arm=base", *pair],
        "calibrate": ["--problems=cows.jsonl", "--out=new.jsonl", "--policy=new.json", "--ask=paper", *pair],
        "rejudge": ["run.jsonl"],
        "view": ["run.json", "--json"],
        "up": ["--base=b", "--draft=d", "--dry-run"],
        "serve": pair,
        "pull": ["no-such-pair"],
        "demo": [],
    }


def parameters(command: str) -> Iterator[tuple[str, Any, bool]]:
    """What a command takes that is no flag: its name, its types, and whether it is an argument."""
    for name, hint in get_type_hints(COMMANDS[command], include_extras=True).items():
        if get_origin(hint) is Annotated and hint.__origin__ not in (bool, bool | None):
            kinds = {*get_args(hint.__origin__), hint.__origin__}
            yield name, kinds, any(isinstance(it, ArgumentInfo) for it in hint.__metadata__)


def values(name: str, kinds: Any) -> list[str]:
    if kinds & {int, float, list[int], list[float]}:
        return NUMBERS
    return FILES if Path in kinds or name in ("problems", "source", "run") else TEXTS


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_no_value_gets_a_traceback(command: str, works: dict[str, list[str]], specreason: Specreason) -> None:
    given = works[command]
    for name, kinds, argument in parameters(command):
        if name == "embedded" or (name in SHARED and command not in ("solve", "serve")):  # it would be fetched
            continue
        option = f"--{name.replace('_', '-')}="
        for value in values(name, kinds):
            for left in ("new.jsonl", "new.json"):
                Path(left).unlink(missing_ok=True)
            kept = [it for it in given if not it.startswith(option)]
            arguments = ["--", value] if argument else [option + value]
            if argument:
                kept = [it for it in kept if it.startswith(("-", "http"))]
            done = specreason(command, *kept, *arguments)
            told = f"specreason {command} {' '.join(arguments)[:80]}: {done.status}, {done.err}"
            assert done.status in (0, 1, 2, 3), told
            assert "Traceback" not in done.out + done.err, told
            assert done.err.count("specreason: ") <= 1, told
            assert done.status != 2 or done.err, told


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_no_option_takes_a_key(command: str) -> None:
    """Everybody on the machine sees the options of a command (`ps`)."""
    options = [name for name, _, _ in parameters(command)]
    assert not [name for name in options if "key" in name and name != "gateway_keys"]  # a file
