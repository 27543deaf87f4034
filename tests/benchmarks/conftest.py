"""Benchmarks are scripts: they import each other from their own folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from tools.launch.processes import Processes

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """A tokenizer of as many tokens as Qwen's, of which 1 in 20 holds `on`, and 1 in 10 `xy`."""
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    tokens = [f"{number}" + "on" * (number % 20 == 0) + "xy" * (number % 10 == 5) for number in range(151_600)]
    table = {"model": {"vocab": {token: at for at, token in enumerate(tokens)}}, "added_tokens": [{"content": "<|e|>"}]}
    (folder / "tokenizer.json").write_text(json.dumps(table))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    return folder


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Processes:
    """vLLM's stand-in in place of vLLM."""
    return Processes(tmp_path, monkeypatch)
