"""What the launcher's tests share."""

from pathlib import Path

import pytest

from .processes import Processes


@pytest.fixture
def processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Processes:
    """The processes of a test, which start with vLLM's stand-in on their path."""
    return Processes(tmp_path, monkeypatch)
