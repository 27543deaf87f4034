"""The figures so far, in a JSON file that is written anew with each: what is in it is not measured again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpu_cells import Cell

from specreason_graph.contract.errors import ConfigError


class Results:
    """One file; `document` is what it holds."""

    def __init__(self, path: Path, about: Mapping[str, Any], date: str) -> None:
        """Go on with a file, or begin one.

        Args:
            path: the file.
            about: what all its figures have in common.
            date: of today, for a new file.

        Raises:
            ConfigError: it is of something else, or no such file, or can't be written.
        """
        self._path = path
        self.document: dict[str, Any] = {"date": date, "about": dict(about), "cells": {}, "starts": {}}
        self.document |= {"failed": {}, "left_out": {}}
        if path.exists():
            self.document = {**read(path), "failed": {}, "left_out": {}}
            _check_same(path, self.document["about"], json.loads(json.dumps(about)))
        self._write()

    def __contains__(self, cell: Cell) -> bool:
        return key(cell) in self.document["cells"]

    def __getitem__(self, cell: Cell) -> dict[str, Any]:
        return self.document["cells"][key(cell)]  # type: ignore[no-any-return]

    def get(self, cell: Cell) -> dict[str, Any] | None:
        """What was measured, None if it was not."""
        return self.document["cells"].get(key(cell))  # type: ignore[no-any-return]

    def add(self, cell: Cell, found: Mapping[str, Any]) -> None:
        """Keep a figure."""
        self.document["cells"][key(cell)] = {**asdict(cell), **found}
        self._write()

    def failed(self, what: str, why: str) -> None:
        """Keep why some are missing."""
        self.document["failed"][what] = why
        self._write()

    def left_out(self, cell: Cell, why: str) -> None:
        """Keep why one was not measured this time."""
        self.document["left_out"][key(cell)] = why
        self._write()

    def started(self, server: str, seconds: float) -> None:
        """Keep how long a server took to start, the last time."""
        self.document["starts"][server] = seconds
        self._write()

    def _write(self) -> None:
        part = self._path.with_name(self._path.name + ".part")
        try:
            part.write_text(json.dumps(self.document, indent=1) + "\n", encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            raise ConfigError(f"out: can't write {self._path} ({error.strerror})") from None


def key(cell: Cell) -> str:
    """A cell's name in the file, such as `Runs/none/both/50/1`."""
    return "/".join([type(cell).__name__, *map(str, asdict(cell).values())])


def read(path: Path) -> dict[str, Any]:
    """What a file holds.

    Raises:
        ConfigError: it is no such file.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {name: document[name] for name in ("date", "about", "cells", "starts", "failed", "left_out")}
    except (OSError, ValueError, LookupError, TypeError):
        raise ConfigError(f"out: {path} is not a file of this benchmark; name another") from None


def _check_same(path: Path, was: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    other = [name for name in now if was.get(name) != now[name]]
    if other:
        raise ConfigError(
            f"out: {path} was measured with another {other[0]} ({was.get(other[0])}, now {now[other[0]]}); name "
            "another file with --out"
        )
