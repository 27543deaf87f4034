"""Files that a person writes are read whole, and nothing without end is."""

from pathlib import Path

import pytest

from specreason_graph.contract.small_files import small_text


def test_a_small_file_is_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("naïve".encode())
    assert small_text(tmp_path / "a") == "naïve"
    (tmp_path / "a").write_bytes(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        small_text(tmp_path / "a")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev", "/no/such"])
def test_what_is_no_small_file_is_an_error_of_the_system(path: str) -> None:
    with pytest.raises(OSError, match=path):
        small_text(Path(path))
