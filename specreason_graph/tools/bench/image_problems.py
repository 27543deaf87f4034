"""Problems about images, in the columns of POPE, V* and HR-Bench: the image beside the file, or in the row itself."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from specreason_graph.contract.errors import ConfigError
from specreason_graph.endpoint.image import Image
from specreason_graph.models.image_file import from_base64, image

_OPTION = re.compile(r"^[^\S\n]*\(([A-Z])\)(.*)$", re.MULTILINE)
_FEWEST, _MOST = 2, 4


def image_in(path: Path, row: Mapping[str, Any], where: str) -> Image | None:
    """What the column `image` holds: a file's name, a file, its base 64, or Parquet's `{"bytes", "path"}`; or None.

    Args:
        path: the problems' file; names are looked up beside it.
        row: of it.
        where: for messages: which row it is.

    Raises:
        ConfigError: it is none of these, or no image.
    """
    value = row.get("image")
    match value:
        case None | {"bytes": None, "path": None}:
            return None
        case {"bytes": bytes(data)} | bytes(data):
            return image(data, where)
        case {"path": str(name)} | str(name):
            return image(_read(path.parent, name, where), where)
    raise ConfigError(
        f"{where}: the column image holds {type(value).__name__}, which is no image; write a file's name or base64"
    )


def options_in(text: str) -> tuple[str, dict[str, str]]:
    """The question in a text of V*, and the options below it by their letters."""
    found = list(_OPTION.finditer(text))
    return text[: found[0].start() if found else None].strip(), {option[1]: option[2] for option in found}


def right_first(options: Mapping[str, object], right: str, where: str) -> list[str]:
    """The options that there are; questions with fewer have empty ones.

    Raises:
        ConfigError: they are too few or too many, or the right one is not among them.
    """
    there = {letter: str(text).strip() for letter, text in options.items() if not is_empty(text)}
    if not _FEWEST <= len(there) <= _MOST:
        raise ConfigError(
            f"{where}: its options are {', '.join(there) or 'none'}, and should be {_FEWEST} to {_MOST}; write them in "
            "lines of the text, such as (A) red, or in the columns A to D"
        )
    if right not in there:
        raise ConfigError(f"{where}: the right option is {right!r:.20}, of {', '.join(there)}; name it by its letter")
    return [there.pop(right), *there.values()]


def is_empty(value: object) -> bool:
    """Whether a row has nothing in a column, or what a table puts there."""
    return value is None or value != value or not str(value).strip()


def _read(folder: Path, name: str, where: str) -> bytes:
    """A file in the folder, or what the text itself holds.

    A name that leads out of the folder is none; a link in the folder may, as all in Hugging Face's cache do: the folder
    is the user's own, and names came with the data.
    """
    try:
        inside = Path(os.path.relpath(folder / name, folder))
        if ".." not in inside.parts and (folder / inside).is_file():
            return (folder / inside).read_bytes()
    except (OSError, ValueError):  # a text that is no file's name: too long for one
        pass
    try:
        return from_base64(name)
    except ValueError:
        # A data URL, or base64 that is cut, is not told again.
        told = f" {name!r:.80}" if "." in name and "base64," not in name else ""
        raise ConfigError(
            f"{where}: there is no image{told} beside the file, and it is no base64; put it there, or write base64"
        ) from None
