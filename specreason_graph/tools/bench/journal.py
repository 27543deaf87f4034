"""Finished work on disk, a JSON line each: what was done once is never done again, however often it is stopped."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from specreason_graph.contract.errors import ConfigError, SpecReasonError

_SHOWN = 60  # characters of a value in a message


class Journal:
    """An append-only file whose first line says with what settings its records were made. Use it in a `with` block.

    One process at a time has it open: two would do the same work. What is killed lets go of it.

    Raises:
        ConfigError: the file was begun with other settings, is none of ours, or is open elsewhere.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file, begun = _opened(path)
        except OSError as error:
            raise ConfigError(f"out: can't write {path}: {error.strerror}; name another file") from None
        try:
            _hold(self._file, path)
            first = json.dumps({"settings": settings})
            if not begun or _is_cut_in(first, path):
                os.ftruncate(self._file, 0)
                self._write(first)
                return
            _check_same(path, settings)
            if not path.read_bytes().endswith(b"\n"):  # a kill cut the last record off: it is done again
                self._write("")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, record: Mapping[str, Any]) -> None:
        """Keep one finished record.

        Raises:
            SpecReasonError: the disk takes no more.
        """
        self._write(json.dumps(record))

    def records(self) -> list[dict[str, Any]]:
        """Everything that was kept so far."""
        return read_journal(self.path)[1]

    def close(self) -> None:
        """Let others have it."""
        os.close(self._file)

    def _write(self, line: str) -> None:
        left = f"{line}\n".encode()
        try:
            while left:  # a disk that is nearly full takes a part
                left = left[os.write(self._file, left) :]
        except OSError as error:
            raise SpecReasonError(
                f"out: can't write {self.path}: {error.strerror}; what is in it is kept, and the same command goes on"
            ) from None


def _opened(path: Path) -> tuple[int, bool]:
    """The file's descriptor, and whether it was there before."""
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o666), False
    except FileExistsError:
        return os.open(path, os.O_WRONLY | os.O_APPEND), True


def _is_cut_in(first: str, path: Path) -> bool:
    """Whether a file holds no more than a part of its first line: a full disk, or a kill, came before any record."""
    return path.is_file() and path.stat().st_size <= len(first) and first.encode().startswith(path.read_bytes())


def _hold(file: int, path: Path) -> None:
    with suppress(OSError):  # a network's folder that knows no locks
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"out: another process is writing {path}; wait until it has ended, or name another file"
            ) from None


def read_journal(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The settings and the records of a journal; a line that a kill has cut off is left out.

    Raises:
        ConfigError: it can't be read, or is no journal.
    """
    try:
        if path.is_char_device():  # some have no end
            raise ConfigError(f"{path} is a device, not a run of `specreason bench` or `calibrate`")
        # JSON's texts may hold what else Python ends a line at.
        first, *lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise ConfigError(f"can't read the run {path}: {error.strerror}") from error
    head = _parsed(first) or {}
    if not isinstance(head.get("settings"), dict):
        raise ConfigError(f"{path} is not a run of `specreason bench` or `calibrate`")
    return head["settings"], [record for line in lines if (record := _parsed(line)) is not None]


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _check_same(path: Path, settings: Mapping[str, Any]) -> None:
    before, now = read_journal(path)[0], json.loads(json.dumps(settings))
    if before != now:
        raise ConfigError(
            f"out: {path} was begun with {_change(before, now)}; name another file, or run with the settings that it "
            "was begun with"
        )


def _change(before: Any, now: Any, name: str = "") -> str:
    """The first setting that differs, by its name and both values."""
    if isinstance(before, dict) and isinstance(now, dict) and before.get("name") == now.get("name"):
        if "weights" in before and "weights" in now:
            return f"{name} {before.get('name')!r} as it was fitted then, not as it is now"
        key = min(key for key in {**before, **now} if before.get(key) != now.get(key))
        return _change(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        at = next(at for at, one in enumerate(before) if one != now[at])
        return _change(before[at], now[at], f"{name}.{at}")
    return f"{name} {_short(before)}, not {_short(now)}"


def _short(value: Any) -> str:
    """A value as it is called, not with all that it holds."""
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    told = repr(value["name"] if isinstance(value, dict) and "name" in value else value)
    return told if len(told) <= _SHOWN else f"{told[:_SHOWN]}…"
