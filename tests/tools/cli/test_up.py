"""`specreason up` as a person or a script runs it, with a stand-in for vLLM."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tools.launch.processes import Processes

from .conftest import Specreason


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Processes:
    return Processes(tmp_path, monkeypatch)


@contextmanager
def launched(processes: Processes, folder: Path, *options: str, **changes: Any) -> Iterator[subprocess.Popen[str]]:
    file = folder / "pair.toml"
    file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in processes.plan(**changes).items()))
    command = [sys.executable, "-m", "specreason_graph.tools.cli", "up", str(file), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process


def test_it_prints_and_writes_the_environment_in_which_the_pair_is_found_and_ends_with_sigterm(
    processes: Processes, tmp_path: Path, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    env = tmp_path / "env"
    monkeypatch.setenv("SPECREASON_API_KEY", "a 'key'")
    with launched(processes, tmp_path, "--env-file", str(env), preset="qwen3") as process:
        until(env.exists)
        assert env.stat().st_mode & 0o777 == 0o600
        written = env.read_text()
        lines = processes.alive("api_server").values()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert len(lines) == 4
    assert not any("'key'" in line for line in lines)
    comment, *exports = written.splitlines(keepends=True)
    assert comment.startswith("# written by `specreason up`")
    assert (process.returncode, out) == (0, "".join(exports))
    variables = dict(line.removeprefix("export ").split("=", 1) for line in out.splitlines())
    assert variables.keys() == {f"SPECREASON_{x}" for x in ("BASE_URL", "DRAFT_URL", "API_KEY", "PRESET")}
    assert shlex.split(variables["SPECREASON_API_KEY"]) == ["a 'key'"]
    for said in ("loading the weights", "up http://127.0.0.1:", "both answer", "stopping"):
        assert said in err
    assert not env.exists()
    assert processes.alive() == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_loading_stops_it_without_a_word_of_python(
    number: signal.Signals, processes: Processes, tmp_path: Path, until: Callable[..., None]
) -> None:
    with launched(processes, tmp_path, base_args=["--act=stubborn", "--act=hangs"]) as process:
        until(lambda: len(processes.alive("SIG_IGN")) == 2)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert err.endswith("stopping\n")
    assert "Traceback" not in err
    assert processes.alive() == {}


def test_a_launcher_that_is_killed_leaves_nothing(
    processes: Processes, tmp_path: Path, until: Callable[..., None]
) -> None:
    with launched(processes, tmp_path, base_args=["--act=stubborn", "--act=hangs"]) as process:
        until(lambda: len(processes.alive("SIG_IGN")) == 2)
        process.kill()
        until(lambda: not processes.alive())


def test_a_server_that_dies_is_an_error_with_its_own_last_lines(processes: Processes, tmp_path: Path) -> None:
    with launched(processes, tmp_path, draft_args=["--act=dies"]) as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert "specreason: draft server ended while loading (exit status 1); from " in err
    assert "ValueError: Free memory on device (3.1/79.1 GiB) is less than desired" in err
    assert "RuntimeError: Engine core" in err
    assert processes.alive() == {}


def test_a_server_that_is_killed_ends_the_other(
    processes: Processes, tmp_path: Path, until: Callable[..., None]
) -> None:
    env = tmp_path / "env"
    with launched(processes, tmp_path, "--env-file", str(env)) as process:
        until(env.exists)
        [server] = [pid for pid, line in processes.alive("Qwen3-8B").items() if "guard.py" not in line]
        os.kill(server, signal.SIGKILL)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "specreason: base server ended while running (ended by SIGKILL" in err
    assert processes.alive() == {}


def test_a_dry_run_prints_the_two_commands(specreason: Specreason, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECREASON_API_KEY", "secret")
    done = specreason("up", "qwen3-8b+0.6b", "--python", "py", "--decode", "ngram", "--dry-run")
    serve = "{} py -m vllm.entrypoints.openai.api_server --model Qwen/{} --host 127.0.0.1 --port {} {}"
    key = 'VLLM_API_KEY="$SPECREASON_API_KEY"'
    flags = "--enable-prefix-caching --enable-prompt-tokens-details --max-model-len 12288 --gpu-memory-utilization"
    ngram = """ --speculative-config '{"method": "ngram", "num_speculative_tokens": 5, "prompt_lookup_max": 4}'"""
    base, draft = done.out.splitlines()
    assert base == serve.format(key, "Qwen3-8B", 8000, flags) + " 0.8" + ngram
    assert draft == serve.format(key, "Qwen3-0.6B", 8001, flags) + " 0.15"
    assert (done.status, done.err) == (0, "")


def test_bad_input_gets_one_clear_line(specreason: Specreason, processes: Processes, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        pair = ["--base", "B", "--draft", "D"]
        for arguments, says in (
            (["--base", "B"], "say what to serve: --base and --draft"),
            (
                [*pair, "--base-port", port],
                f"base_port: can't listen at port {port} of 127.0.0.1 (Address already in use)",
            ),
            ([*pair, "--decode", "eagle3"], "decode_model"),
            ([*pair, "--env-file", str(tmp_path)], "env_file: "),
        ):
            done = specreason("up", *arguments)
            assert (done.status, done.out) == (2, "")
            assert says in done.err
            assert done.err.count("\n") == 1
    assert processes.alive() == {}


def test_listening_beyond_loopback_is_warned_of(specreason: Specreason) -> None:
    done = specreason("up", "--base", "B", "--draft", "D", "--host", "0.0.0.0", "--python", "/no/such")
    assert "0.0.0.0 can be reached from the network; /tokenize and /health need no key" in done.err
