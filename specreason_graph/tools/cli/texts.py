"""A question as it is typed, piped or pasted, and the images beside it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

from specreason_graph.contract.errors import ConfigError
from specreason_graph.models.image_file import MOST_BYTES, as_block, image


def given(question: str) -> str:
    """The question of an argument, or of standard input for `-`.

    Raises:
        ConfigError: it is empty, or no UTF-8.
    """
    try:
        # An argument's bytes are UTF-8 in any locale; Python reads them by the locale's encoding.
        text = sys.stdin.read() if question == "-" else os.fsencode(question).decode("utf-8")
    except UnicodeError:
        raise ConfigError("question: it is no UTF-8 text") from None
    if not text.strip():
        raise ConfigError("question: it is empty")
    return text


def asked(question: str, images: Sequence[Path] = ()) -> HumanMessage:
    """The message of a question, its images before the text, as vision-language models were trained on them.

    Raises:
        ConfigError: a file can't be read, or is no image.
    """
    blocks: list[Any] = [as_block(image(_read(file), f"image: {file}")) for file in images]
    return HumanMessage([*blocks, {"type": "text", "text": question}] if blocks else question)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as data:
            return data.read(MOST_BYTES + 1)  # more is refused anyhow, and a pipe may have no end
    except OSError as error:
        raise ConfigError(f"image: can't read {file}: {error.strerror}") from None
