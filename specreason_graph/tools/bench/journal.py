"""Finished work on disk, a JSON line each: what was done once is never done again, however often it is stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specreason_graph.contract.errors import ConfigError


class Journal:
    """An append-only file whose first line says with what settings its records were made.

    Several processes may append to one journal, as long as they do different problems: a record is one write.

    Raises:
        ConfigError: the file was begun with other settings, or is none of ours.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x") as file:
                file.write(json.dumps({"settings": settings}) + "\n")
        except FileExistsError:
            _check_same(path, settings)
            if not path.read_bytes().endswith(b"\n"):  # a kill cut the last record off: it is done again
                self._write(b"\n")

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep one finished record."""
        self._write((json.dumps(record) + "\n").encode())

    def records(self) -> list[dict[str, Any]]:
        """Everything that was kept so far."""
        return read_journal(self.path)[1]

    def _write(self, line: bytes) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, line)
        finally:
            os.close(file)


def read_journal(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The settings and the records of a journal; a line that a kill has cut off is left out.

    Raises:
        ConfigError: it can't be read, or is no journal.
    """
    try:
        first, *lines = path.read_text(errors="replace").splitlines() or [""]
    except OSError as error:
        raise ConfigError(f"can't read the run {path}: {error.strerror}") from error
    head = _parsed(first) or {}
    if "settings" not in head:
        raise ConfigError(f"{path} is not a run of `specreason bench` or `calibrate`")
    return head["settings"], [record for line in lines if (record := _parsed(line)) is not None]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _check_same(path: Path, settings: Mapping[str, Any]) -> None:
    before, now = read_journal(path)[0], json.loads(json.dumps(settings))
    changed = sorted(name for name in {**before, **now} if before.get(name) != now.get(name))
    if changed:
        name = changed[0]
        raise ConfigError(
            f"out: {path} was begun with {name} {before.get(name)!r}, not {now.get(name)!r}; name another file, or "
            "run with the settings that it was begun with"
        )
