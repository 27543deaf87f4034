"""A pair's environment as a file, there for as long as the pair serves; one that a killed launcher left is replaced.

Its launcher holds a lock on it, which goes with the process however that ends: so a restart knows what is left over.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from specreason_graph.contract.errors import ConfigError

_MARK = "# written by `specreason up`, and removed when it ends\n"


def check_free(path: Path) -> None:
    """Look at a path before the pair is loaded.

    Raises:
        ConfigError: another's file is there, or that of a launcher that still runs.
    """
    with _told(path):
        if path.exists():
            with _left_over(path):
                pass


@contextmanager
def written(path: Path, exports: str) -> Iterator[None]:
    """A file that only its owner can read; it is there at once with all that is in it, and gone behind the block.

    Raises:
        ConfigError: it can't be written, or as `check_free`.
    """
    with _told(path):
        descriptor, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    with open(descriptor, "w", encoding="utf-8") as file:
        try:
            with _told(path):
                fcntl.flock(file, fcntl.LOCK_EX)
                file.write(_MARK + exports)
                file.flush()
                _put(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _put(name: str, path: Path) -> None:
    try:
        os.link(name, path)  # never in another file's place
    except FileExistsError:
        with _left_over(path):
            os.replace(name, path)


@contextmanager
def _left_over(path: Path) -> Iterator[None]:
    """Holds what a launcher left that is no more."""
    with path.open(encoding="utf-8", errors="replace") as file:
        if file.readline() != _MARK:
            raise ConfigError(f"env_file: {path} exists, and is not of `specreason up`; remove it, or name another")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"env_file: {path} is of a `specreason up` that runs; name another") from None
        yield


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"env_file: can't write {path} ({error.strerror})") from None
