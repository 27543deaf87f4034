"""How a family of models spells a call of a tool: data, so that whoever writes one is told nothing of families."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_PLACE = re.compile(r"(\{name\}|\{arguments\})")


class ToolFormat(BaseModel):
    """Calls as text. What stands at `{name}` and `{arguments}` is written by a model, all else is given to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str = Field(description="Where it is documented")
    before: str = Field(default="", description="Opens the calls of a reply, if that is another text than `mark`")
    mark: str = Field(description="Begins each call")
    call: str = Field(description="A call from its mark to its end, with {name} and {arguments} in it")
    argument: str = Field(default="", description="An argument with {key} and {value}; empty: all of them as JSON")
    between: str = Field(default="", description="Between two calls")
    behind: str = Field(default="", description="Closes the calls of a reply")
    also: tuple[str, ...] = Field(
        default=(),
        description="What some models write where a call should open, with {name} in it: read as the opening",
    )

    @model_validator(mode="after")
    def _has_its_places(self) -> Self:
        if not self.call.startswith(self.mark) or self.call.count("{name}") != 1 or self.call.count("{arguments}") != 1:
            raise ValueError("a call begins with its mark, and has {name} and {arguments} once each")
        if self.call.index("{name}") > self.call.index("{arguments}"):
            raise ValueError("a call has its {name} before its {arguments}")
        if not all("{name}" in text for text in self.also):
            raise ValueError("what else opens a call has the {name} in it: else it opens an answer, too")
        if self.argument and not 0 <= self.argument.find("{key}") < self.argument.find("{value}"):
            raise ValueError("an argument has {key} before {value}")
        return self

    @property
    def opening(self) -> str:
        """What says that calls follow."""
        return self.before or self.mark

    def openings(self, names: Iterable[str]) -> dict[str, str]:
        """All that opens a call of one of some tools, with what of it stands before the name."""
        also = {text.replace("{name}", name): text.partition("{name}")[0] for name in names for text in self.also}
        return {self.opening: self.opening, **also}

    @property
    def pieces(self) -> tuple[str, str, str]:
        """What is given before the name (the mark left out), between it and the arguments, and behind them."""
        head, _, middle, _, tail = _PLACE.split(self.call)
        return head.removeprefix(self.mark), middle, tail

    def spelled(self, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
        """Some calls, each a name and its arguments, as a model would have written them."""
        texts = [self._call(name, arguments) for name, arguments in calls]
        return f"{self.before}{self.between.join(texts)}{self.behind}" if texts else ""

    def _call(self, name: str, arguments: Mapping[str, Any]) -> str:
        head, middle, tail = self.pieces
        return f"{self.mark}{head}{name}{middle}{self._arguments(arguments)}{tail}"

    def _arguments(self, said: Mapping[str, Any]) -> str:
        if not self.argument:
            return json.dumps(said, ensure_ascii=False)
        return "".join(self.argument.replace("{key}", key).replace("{value}", _bare(it)) for key, it in said.items())


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@cache
def builtin_formats() -> Mapping[str, ToolFormat]:
    """Those of the data files, by name."""
    folder = files("specreason_graph.models.presets") / "tool_formats"
    read = {
        file.name.removesuffix(".toml"): tomllib.loads(file.read_text(encoding="utf-8")) for file in folder.iterdir()
    }
    return {name: ToolFormat.model_validate({"name": name, **table}) for name, table in sorted(read.items())}


def as_tool_format(given: Any) -> Any:
    """A format by its name, and all else as it is.

    Raises:
        ValueError: there is none of that name.
    """
    if not isinstance(given, str):
        return given
    if given not in builtin_formats():
        raise ValueError(f"there is no format {given!r}; known are {', '.join(builtin_formats())}")
    return builtin_formats()[given]
