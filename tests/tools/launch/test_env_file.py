"""The file in which a pair is found: whose it is, and what becomes of one that was left over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from specreason_graph import ConfigError
from specreason_graph.tools.launch.env_file import check_free, written

HOLDS = """
import sys
from pathlib import Path
from specreason_graph.tools.launch.env_file import written
with written(Path(sys.argv[1]), "export OLD=1\\n"):
    print("there", flush=True)
    sys.stdin.read()
"""


def test_it_is_there_for_a_block_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "env"
    with written(file, "export A=1\n"):
        assert file.read_text().splitlines()[1:] == ["export A=1"]
        assert file.stat().st_mode & 0o777 == 0o600
        assert os.listdir(tmp_path) == ["env"]
    assert os.listdir(tmp_path) == []


def test_what_a_killed_launcher_left_is_replaced_and_what_a_running_one_has_is_not(tmp_path: Path) -> None:
    """Guards a restart by systemd: after SIGKILL the file is still there."""
    file = tmp_path / "env"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        with pytest.raises(ConfigError, match=r"^env_file: .* is of a `specreason up` that runs"):
            check_free(file)
        with pytest.raises(ConfigError, match="that runs"), written(file, "export NEW=1\n"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert "export OLD=1" in file.read_text()
    check_free(file)
    with written(file, "export NEW=1\n"):
        assert file.read_text().splitlines()[1:] == ["export NEW=1"]
    assert os.listdir(tmp_path) == []


def test_another_s_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("export MINE=1\n")
    with pytest.raises(ConfigError, match=r"^env_file: .*env exists, and is not of `specreason up`; remove it"):
        check_free(file)
    with pytest.raises(ConfigError, match="not of `specreason up`"), written(file, ""):
        pass
    assert file.read_text() == "export MINE=1\n"
    with pytest.raises(ConfigError, match=r"^env_file: can't write .* \(Is a directory\)"):
        check_free(tmp_path)
    with (
        pytest.raises(ConfigError, match=r"^env_file: can't write .* \(No such file"),
        written(tmp_path / "no/env", ""),
    ):
        pass
