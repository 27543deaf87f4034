"""Real processes with vLLM's stand-in on their path, which can be found again wherever they went."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

_STAND_IN = Path(__file__).parent / "stand_in"


class Processes:
    """All that was started since, here or further down."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._mark = f"SPECREASON_TEST={uuid.uuid4()}"
        self._folder = folder
        for name in [name for name in os.environ if name.startswith("SPECREASON_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv(*self._mark.split("="))
        monkeypatch.setenv("PYTHONPATH", str(_STAND_IN))

    def plan(self, **changes: Any) -> dict[str, Any]:
        """A plan's fields: two scripted models on free ports, fast to give up."""
        quick = {"base_port": 0, "draft_port": 0, "stop_timeout": 1.0, "log_dir": str(self._folder)}
        return {"base": "Qwen/Qwen3-8B", "draft": "Qwen/Qwen3-0.6B", **quick, **changes}

    def alive(self, part: str = "") -> dict[int, str]:
        """Command lines of those that run, by process id."""
        found: dict[int, str] = {}
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it ended meanwhile
                if self._mark.encode() in (process / "environ").read_bytes():
                    line = (process / "cmdline").read_text().replace("\0", " ")
                    found |= {int(process.name): line} if part in line else {}
        return found
