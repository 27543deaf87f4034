"""What a server's log tells: how far loading has come, and why it failed."""

from __future__ import annotations

import re
from pathlib import Path

_PREFIX = re.compile(r"^(?:\([^)]*pid=\d+\) ?)?(?:[A-Z]+ \d\d-\d\d \d\d:\d\d:\d\d \[[^\]]*\] ?)?")
_ENDS_OF_LINES = re.compile(r"[\r\n]+")  # progress bars write over themselves
_PHASES = tuple(
    (phase, re.compile(pattern))
    for phase, pattern in (
        ("loading the weights", r"^Starting to load model|^Loading .*(?:weights|shards|drafter)|^Downloading"),
        ("compiling", r"^Dynamo bytecode|^Compiling|^torch\.compile took"),
        ("making room for the KV cache", r"KV cache (?:size|memory)"),
        ("capturing CUDA graphs", r"^Capturing .*CUDA graph"),
        ("opening its port", r"^Starting vLLM .*server|^INFO: +Started server process"),
    )
)
_EXCEPTION = re.compile(r"^[\w.]*(?:Error|Exception)\b|: error: ")
_CONSEQUENCE = re.compile(r"Engine core initialization failed|EngineDeadError|EngineCore encountered")
_SHOWN, _BEHIND = 15, 4  # lines of an error in all, and of them behind the line that names it
_TAIL = 2**17  # bytes of a log in which its error is looked for


class Log:
    """A log that is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.phase = "starting"
        self.line = ""
        """The last line that told of a phase."""
        self._read = 0

    def follow(self) -> None:
        """Take in what was written since the last time."""
        with self.path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        for line in _lines(new):
            for phase, pattern in _PHASES:
                if pattern.search(line):
                    self.phase, self.line = phase, line

    def failure(self) -> str:
        """The lines around its last error, else its last lines.

        An engine's error comes before the errors of those who miss the engine: the engine's is shown.
        """
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - _TAIL))
            lines = _lines(file.read())
        named = [at for at, line in enumerate(lines) if _EXCEPTION.search(line)]
        causes = [at for at in named if not _CONSEQUENCE.search(lines[at])] or named
        end = causes[-1] + 1 + _BEHIND if causes else len(lines)
        return "\n".join(lines[max(0, min(end, len(lines)) - _SHOWN) : end])


def _lines(raw: bytes) -> list[str]:
    lines = (_PREFIX.sub("", line.rstrip()) for line in _ENDS_OF_LINES.split(raw.decode(errors="replace")))
    return [line for line in lines if line]
