"""Problems about images, in the columns of POPE, V* and HR-Bench: the image beside the file, or in the row itself."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from specreason_graph.contract.errors import ConfigError
from specreason_graph.endpoint.image import Image
from specreason_graph.models.image_file import image

_OPTION = re.compile(r"^\s*\(([A-Z])\)\s*(.+?)\s*$", re.MULTILINE)
_LETTERS = "ABCD"


class Choice(NamedTuple):
    """A question with options, of which the first is right."""

    question: str
    options: list[str]


def image_in(path: Path, row: Mapping[str, Any]) -> Image | None:
    """What the column `image` holds: a file's name, a file, its base 64, or Parquet's `{"bytes", "path"}`; or None.

    Args:
        path: the problems' file; names are looked up beside it.
        row: of it.

    Raises:
        ConfigError: it is none of these, or no image.
    """
    value = row.get("image")
    match value:
        case None | {"bytes": None, "path": None}:
            return None
        case {"bytes": bytes(data)} | bytes(data):
            return image(data, f"problems: {path.name}")
        case {"path": str(name)} | str(name):
            return image(_read(path, name), f"problems: {path.name}")
    raise ConfigError(f"problems: the column image of {path} holds {type(value).__name__}, which is no image")


def choice_in(row: Mapping[str, Any]) -> Choice | None:
    """The options of V* (in the text, and the right one's letter in `label`) or HR-Bench (columns); None: none."""
    if {"question", "answer", *_LETTERS} <= row.keys():
        texts = {letter: row[letter] for letter in _LETTERS if not _is_missing(row[letter])}
        options, question = {letter: str(text).strip() for letter, text in texts.items()}, str(row["question"]).strip()
        right = str(row["answer"]).strip()
    elif {"text", "label"} <= row.keys():
        found = list(_OPTION.finditer(str(row["text"])))
        options = {option[1]: option[2] for option in found}
        question = str(row["text"])[: found[0].start() if found else None].strip()
        right = str(row["label"]).strip()
    else:
        return None
    if right not in options or len(options) > len(_LETTERS):
        raise ConfigError(f"problems: the right option is {right!r:.20}, of {', '.join(options) or 'none'}")
    return Choice(question, [options.pop(right), *options.values()])


def _is_missing(option: object) -> bool:
    """Questions with two options have none in the other columns: nothing, or what a table puts there."""
    return option is None or option != option or not str(option).strip()


def _read(path: Path, name: str) -> bytes:
    """A file beside the problems, and nowhere else; or what the text itself holds."""
    root = path.parent.resolve()
    try:
        file = (root / name).resolve()
        if file.is_relative_to(root) and file.is_file():
            return file.read_bytes()
    except (OSError, ValueError):  # a text that is no file's name: too long for one
        pass
    try:
        return base64.b64decode("".join(name.split()), validate=True)  # some write it in lines
    except (ValueError, binascii.Error):
        raise ConfigError(f"problems: there is no image {name!r:.80} beside {path}") from None
