"""How the command ends as a process: Ctrl-C at any moment, a reader that leaves, a full disk, another locale."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from specreason_graph.testing import Pace, Script, ScriptedPair, ScriptedServer

from .conftest import at, serving

STEPS = ["There are 3 cows ✓.", "3 · 4 = 12 legs.", r"So \boxed{12}."]
COMMAND = [sys.executable, "-m", "specreason_graph.tools.cli"]
BEGUN = "from specreason_graph.tools import cli\nprint('begun', flush=True)\ncli.main()"


@pytest.fixture(scope="module")
def servers() -> Iterator[ScriptedPair]:
    with serving(Script(STEPS, answer="12"), Script(STEPS)) as pair:
        yield pair


def started(*arguments: str, command: list[str] = COMMAND, **options: Any) -> subprocess.Popen[str]:
    pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    return subprocess.Popen([*command, *arguments], **{**pipe, **options})


def test_nothing_that_takes_time_is_imported_before_ctrl_c_is_seen_to() -> None:
    heavy = "pydantic", "typer", "rich", "aiohttp", "langgraph", "langchain_core"
    code = f"import sys, specreason_graph.tools.cli; print([it for it in {heavy} if it in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], encoding="utf-8") == "[]\n"


@pytest.mark.parametrize("seconds", [0.03, 0.3, 0.9])
def test_ctrl_c_is_quiet_while_it_starts(seconds: float) -> None:
    with started("predict", "--profile", "2xA6000", command=[sys.executable, "-c", BEGUN]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode in (130, 0)  # 0: it had ended
    assert not err


def test_what_ignores_ctrl_c_from_the_start_goes_on_ignoring_it() -> None:
    """Such as a job in the background of a script."""
    ignoring = f"import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n{BEGUN}"
    with started("predict", "--profile", "2xA6000", command=[sys.executable, "-c", ignoring]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, "acceptance" in out) == (0, True)


@pytest.mark.parametrize("command", ["bench", "calibrate"])
def test_long_work_that_is_stopped_says_what_is_kept(command: str, tmp_path: Path, until: Callable[..., None]) -> None:
    problem = json.dumps({"problem": "How many legs have 3 cows?", "answer": "12"})
    (tmp_path / "cows.jsonl").write_text(f"{problem}\n" * 20, encoding="utf-8")
    slow = ScriptedServer(
        Script(STEPS, scores=[9], judge_mark="Evaluate"), template="instruct", pace=Pace(seconds_per_token=0.02)
    )
    with serving(slow, Script(STEPS), "instruct") as servers:
        options = ["--problems", "cows.jsonl", "--out", "kept.jsonl", *at(servers, "instruct")]
        with started(command, *options, cwd=tmp_path) as process:
            kept = tmp_path / "kept.jsonl"
            until(lambda: kept.exists() and kept.read_text(encoding="utf-8").count("\n") > 1)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "what is finished is in kept.jsonl" in " ".join(err.split())
    assert "Traceback" not in err
    assert not (tmp_path / "runs/policy.json").exists()  # it would be fitted on a part


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["steps", "json"])
@pytest.mark.parametrize("to", ["full", "closed"])
def test_what_can_not_be_written_is_no_traceback(servers: ScriptedPair, options: list[str], to: str) -> None:
    out: IO[bytes] | int
    with Path("/dev/full").open("wb") as full:
        reading, writing = os.pipe()
        os.close(reading)
        out = full if to == "full" else writing
        with started("solve", "How many?", *options, *at(servers), stdout=out) as process:
            os.close(writing)
            _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert err.count("\n") == (1 if to == "full" else 0)
    assert to != "full" or "No space left" in err


@pytest.mark.parametrize("piped", [True, False])
def test_text_is_utf_8_whatever_the_locale(servers: ScriptedPair, piped: bool) -> None:
    question = "Wie viele Füße haben 3 Kühe · 你好?"
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    asked = "-" if piped else question
    with started("solve", asked, *at(servers), env=plain, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(question if piped else "", timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "There are 3 cows ✓." in out
    prompt = servers.base.completions[-1].prompts[0]
    assert question in servers.base.model.tokenizer.spell(prompt).decode()


def test_a_question_that_is_no_utf_8_is_said_so(servers: ScriptedPair) -> None:
    for arguments, stdin in ((["-"], b"caf\xe9"), ([b"caf\xe9"], b"")):
        command = [*COMMAND, "solve", *arguments, *at(servers)]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False)
        assert done.returncode == 2
        assert done.stderr == b"specreason: question: it is no UTF-8 text\n"


def test_streams_that_are_closed_are_no_traceback(servers: ScriptedPair) -> None:
    shell = " ".join([*COMMAND, "solve", "-", *at(servers), "<&-", ">&-"])
    done = subprocess.run(shell, shell=True, capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (2, "specreason: question: it is empty\n")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands(shell: str) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys\nsys.argv[0] = 'specreason'\nfrom specreason_graph.tools.cli import main\nmain()",
    ]
    asked = {"COMP_WORDS": "specreason so", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "specreason so"}
    asked |= {"_SPECREASON_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, encoding="utf-8", check=False)
    assert "solve" in done.stdout
    assert "bench" not in done.stdout
    assert not done.stderr
    named = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = subprocess.run(
        [*command, "--show-completion", shell], env=named, capture_output=True, encoding="utf-8", check=False
    )
    assert (shown.returncode, "_SPECREASON_COMPLETE" in shown.stdout) == (0, True)
