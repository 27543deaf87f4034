"""`specreason up` with real servers that die: it says which one, and leaves no process."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from .servers import plan, processes, up

pytestmark = [pytest.mark.real_vllm, pytest.mark.timeout(900)]

SMALL = plan("smollm2-135m", "smollm2-135m", draft_name="draft")


def test_an_engine_that_dies_is_told_and_the_other_server_stopped(tmp_path: Path) -> None:
    """The engine is a process of its own behind the server; no terminal shows that it has died."""
    before = set(processes())
    with up(tmp_path, SMALL) as launcher:
        engines = [pid for pid, line in processes() if (pid, line) not in before and line.startswith("VLLM::")]
        assert engines
        os.kill(max(engines), signal.SIGKILL)
        assert launcher.wait(60) == 1
    assert "server ended while running" in (tmp_path / "err").read_text()
    time.sleep(1)  # for the kernel to take them away
    assert set(processes()) <= before


def test_nothing_is_left_of_a_launcher_that_is_killed(tmp_path: Path) -> None:
    before = set(processes())
    with up(tmp_path, SMALL) as launcher:
        launcher.kill()
        launcher.wait()
        for _ in range(60):
            if set(processes()) <= before:
                return
            time.sleep(0.5)
    raise AssertionError("processes are left")
