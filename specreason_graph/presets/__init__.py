"""Presets and judges: data files, one each. Nothing else in the code asks which pair it runs on.

To add one, drop a TOML file beside the others, or build a `Preset`/`Judge` and pass it to `create_specreason`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from specreason_graph.errors import ConfigError
from specreason_graph.settings import ScoreMethod

_Entry = TypeVar("_Entry")


class Judge(BaseModel):
    """How a step is judged: by labels that base writes, or by base's likelihood of the drafted tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str = Field(description="Where the wording and the numbers come from")
    kind: Literal["labels", "likelihood"]
    threshold: float
    request: str = Field(default="", description="The user turn that asks for a label")
    prefill: str = Field(default="", description="How base's reply begins; {open} is the preset's think marker")
    labels: tuple[str, ...] = Field(default=(), description="Worst first; each must be one token behind the prefill")
    method: ScoreMethod = "greedy"
    spots: int = 12

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest threshold that means anything."""
        return (0.0, len(self.labels) - 1.0) if self.kind == "labels" else (float("-inf"), 0.0)


class Preset(BaseModel):
    """How a pair reasons."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str = Field(description="Where the numbers come from")
    kind: Literal["thinking", "instruct"] = Field(description="Think block then answer, or reasoning in the open")
    base: str = Field(default="", description="Part of the base model's name, for finding the preset")
    draft: str = Field(default="", description="Part of the draft model's name")
    prompt: str = Field(default="{question}", description="The user turn; {question} is what was asked")
    boundary: str = "\n\n"
    open: str = Field(default="", description="Opens the reasoning, where the chat template does not")
    close: str = Field(default="", description="Marker that closes the reasoning; one token")
    answer_cue: str = Field(description="Put behind reasoning to have the answer written")
    judge: str = "paper"
    threshold: float | None = Field(default=None, description="None takes the judge's own")
    template: dict[str, bool | str] = Field(default_factory=dict, description="Variables of the chat template")
    temperature: float = 0.6
    top_p: float = 0.95


@dataclass(frozen=True, slots=True)
class Catalog:
    """The presets and judges that a graph knows, by name."""

    presets: Mapping[str, Preset]
    judges: Mapping[str, Judge]

    def extended(self, presets: Iterable[Preset] = (), judges: Iterable[Judge] = ()) -> Catalog:
        """This catalog with some of the user's own; a name known already is replaced."""
        return Catalog(
            {**self.presets, **{preset.name: preset for preset in presets}},
            {**self.judges, **{judge.name: judge for judge in judges}},
        )

    def preset(self, name: str | None, base_model: str, draft_model: str) -> Preset:
        """The preset called `name`, or the one whose model names fit best.

        Raises:
            ConfigError: there is no such preset, or none fits these models.
        """
        if name is not None:
            return _named("preset", name, self.presets)
        fits = [
            preset
            for preset in self.presets.values()
            if preset.base and preset.base.lower() in base_model.lower() and preset.draft.lower() in draft_model.lower()
        ]
        if not fits:
            raise ConfigError(
                f"preset: none fits {base_model} with {draft_model}; name one: `thinking` for models with a <think> "
                f"block, `instruct` for others, or one of {', '.join(sorted(self.presets))}"
            )
        return max(fits, key=lambda preset: len(preset.base) + len(preset.draft))

    def judge(self, name: str) -> Judge:
        """The judge called `name`.

        Raises:
            ConfigError: there is no such judge.
        """
        return _named("judge", name, self.judges)


@cache
def builtin() -> Catalog:
    """The presets and judges of the data files."""
    return Catalog(
        {name: Preset.model_validate({"name": name, **table}) for name, table in _tables("pairs")},
        {name: Judge.model_validate({"name": name, **table}) for name, table in _tables("judges")},
    )


def _named(kind: str, name: str, known: Mapping[str, _Entry]) -> _Entry:
    if name not in known:
        raise ConfigError(f"{kind}: there is no {name!r}; known are {', '.join(sorted(known))}")
    return known[name]


def _tables(folder: str) -> list[tuple[str, dict[str, object]]]:
    found = (files(__package__) / folder).iterdir()
    return [
        (file.name.removesuffix(".toml"), tomllib.loads(file.read_text()))
        for file in sorted(found, key=lambda file: file.name)
        if file.name.endswith(".toml")
    ]
