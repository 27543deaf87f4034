"""Whether what is written at the end of long work can be written, asked before it begins."""

from __future__ import annotations

import os
from pathlib import Path

from specreason_graph.contract.errors import ConfigError


def check_folder(option: str, folder: Path) -> None:
    """Make a folder, if need be.

    Raises:
        ConfigError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{option}: can't write to the folder {folder}: {error.strerror}") from None
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{option}: can't write to the folder {folder}: name another")


def check_file(option: str, path: Path, *others: Path) -> None:
    """See that a file can be written, with its folder, and is none of those that are read or kept.

    Raises:
        ConfigError: it can't, or it is one of the others, which would be lost.
    """
    for other in others:
        if path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other)):
            raise ConfigError(f"{option}: {path} is {other}, which would be lost; name another file")
    check_folder(option, path.parent)
    if path.is_dir() or (path.exists() and not os.access(path, os.W_OK)):
        raise ConfigError(f"{option}: can't write the file {path}: name another")
