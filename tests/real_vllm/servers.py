"""Two real servers, started as a user starts them: `specreason up`, and the environment that it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from specreason_graph.contract.config import Environment, PairConfig

from . import environment

BLOCK = 128
"""Tokens of a block of the CPU build's prefix cache."""


def plan(base: str, draft: str, **more: object) -> str:
    """A plan file for `specreason up`."""
    table = {
        "base": str(environment.model(base)),
        "draft": str(environment.model(draft)),
        "base_name": base,
        "draft_name": draft,
        "base_port": 0,
        "draft_port": 0,
        "device": "cpu",
        "cpu_kv_cache": 1,
        "max_model_len": 2048,
        "python": str(environment.python()),
        **more,
    }
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())  # the same, for these types


@contextmanager
def up(folder: Path, text: str, imports: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """`specreason up` with a plan, from when it serves; `folder/env` is the environment.

    Args:
        folder: where files are written.
        text: the plan.
        imports: a folder of packages that the servers need beside their environment.
    """
    file, env = folder / "pair.toml", folder / "env"
    file.write_text(text)
    command = [sys.executable, "-m", "specreason_graph.tools.cli", "up", str(file), "--env-file", str(env)]
    with (
        (folder / "err").open("w") as err,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=err, env=_importing(imports)) as launcher,
    ):
        try:
            deadline = time.monotonic() + 800
            while not env.exists():
                assert launcher.poll() is None, (folder / "err").read_text()
                assert time.monotonic() < deadline, "the servers are not up after 800 s"
                time.sleep(0.5)
            yield launcher
        finally:
            launcher.send_signal(signal.SIGTERM)


def _importing(imports: Path | None) -> dict[str, str]:
    paths = [str(imports or ""), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def exported(folder: Path) -> dict[str, str]:
    """The variables that `up` exports."""
    lines = (folder / "env").read_text().split()
    return dict(line.split("=", 1) for line in lines if "=" in line)


@contextmanager
def serving(folder: Path, text: str, imports: Path | None = None) -> Iterator[PairConfig]:
    """The pair's addresses, from the environment as a user's program reads it."""
    with up(folder, text, imports):
        names = {name.removeprefix("SPECREASON_").lower(): value for name, value in exported(folder).items()}
        yield Environment(**names).configured()["default"]


def processes() -> list[tuple[int, str]]:
    """vLLM's processes that are running here, with their command lines."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "vllm.entrypoints" in line or line.startswith("VLLM::"):
                found.append((int(folder.name), line))
    return found
