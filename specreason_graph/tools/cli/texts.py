"""A question as it is typed, piped or pasted."""

from __future__ import annotations

import os
import sys

from specreason_graph.contract.errors import ConfigError


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
