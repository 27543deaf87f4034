"""What an operator lets requests ask for: the most of each number, and which settings they may choose."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from specreason_graph.contract.errors import ConfigError, checked
from specreason_graph.contract.settings import MAX_STEPS, Settings
from specreason_graph.contract.small_files import small_text
from specreason_graph.use.gateway.refusal import Refusal

MOST_SAMPLES = 8
_SWITCHES = ("hedge", "look_ahead")
"""What costs the servers work; where the gateway was started without, no request turns it on."""


class Ceiling(BaseModel):
    """Of one key; None: no other bound than the models' contexts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int = Field(default=MOST_SAMPLES, ge=1, le=MOST_SAMPLES)
    """Samples of one request."""
    reasoning_budget: int | None = Field(default=None, ge=1)
    turn_reasoning_budget: int | None = Field(default=None, ge=0)
    answer_budget: int | None = Field(default=None, ge=1)
    step_tokens: int | None = Field(default=None, ge=1)
    max_steps: int | None = Field(default=None, ge=1, le=MAX_STEPS)
    spots: int | None = Field(default=None, ge=1)
    hedges: int | None = Field(default=None, ge=0)
    """None: those that the gateway was started with, since they are of all runs together."""
    deadline: float | None = Field(default=None, gt=0)
    """Seconds."""
    settings: tuple[str, ...] | None = None
    """Which ones a request may name under `specreason`; None: all."""

    @field_validator("settings")
    @classmethod
    def _there(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if unknown := set(names or ()) - Settings.model_fields.keys():
            raise ValueError(f"there is no setting {', '.join(sorted(unknown))}")
        return names

    def lowered(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of some values that are above it, as it has them; None is above any."""
        return {name: most for name, most in self._numbers if _above(values.get(name), most)}

    def check(self, chosen: Mapping[str, Any], of: Settings, defaults: Settings) -> None:
        """Look at what a request chose under `specreason`.

        Args:
            chosen: names and values.
            of: the settings that came of it.
            defaults: the gateway's own.

        Raises:
            Refusal: something is above its ceiling, or is no request's to choose; the message names it.
        """
        for name, most in self._numbers:
            if name in chosen and _above(value := getattr(of, name), most):
                said = "no bound" if value is None else value
                raise _no(name, f"{said} is above this gateway's ceiling of {most}; ask for less")
        for name in chosen:
            if self.settings is not None and name in Settings.model_fields and name not in self.settings:
                may = ", ".join(self.settings) or "none"
                raise _no(name, f"not a request's to choose at this gateway; those are: {may}")
            if name in _SWITCHES and getattr(defaults, name) is False and getattr(of, name) is not False:
                raise _no(name, "turned off at this gateway; leave it out")

    def check_samples(self, n: int, places: int) -> None:
        """Look at how many samples a request wants; `places` is how many runs may go on and wait.

        Raises:
            Refusal: they are too many.
        """
        most = min(self.n, places)
        if n > most:
            raise _no("n", f"{n} is above this gateway's ceiling of {most}; ask for less")

    @property
    def _numbers(self) -> list[tuple[str, float]]:
        found = {name: getattr(self, name) for name in type(self).model_fields.keys() & Settings.model_fields.keys()}
        return [(name, most) for name, most in sorted(found.items()) if most is not None]


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Of all keys by name; `every` for those that have none of their own."""

    every: Ceiling = field(default_factory=Ceiling)
    own: Mapping[str, Ceiling] = field(default_factory=dict)

    @classmethod
    def of_file(cls, file: Path) -> Self:
        """Those of a TOML file: a table `every`, and on top of it `key.NAME` for some keys.

        Raises:
            ConfigError: it can't be read, or something in it is no ceiling.
        """
        try:
            tables = tomllib.loads(small_text(file))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigError(f"ceilings: can't read {file} ({error})") from None
        if unknown := tables.keys() - {"every", "key"}:
            raise ConfigError(f"ceilings: {file} has the tables `every` and `key.NAME`, not {', '.join(unknown)}")
        every, own = tables.get("every", {}), tables.get("key", {})
        if not isinstance(own, dict) or not all(isinstance(table, dict) for table in (every, *own.values())):
            raise ConfigError(f"ceilings: {file}: `every` and `key.NAME` are tables: write [every], and below it n = 4")
        try:
            return cls(
                checked(Ceiling, every), {key: checked(Ceiling, {**every, **table}) for key, table in own.items()}
            )
        except ConfigError as error:
            raise ConfigError(f"ceilings: {file}: {error}") from None

    def of(self, key: str | None, defaults: Settings) -> Ceiling:
        """One key's; `defaults` are the gateway's own settings."""
        ceiling = self.own.get(key or "", self.every)
        return ceiling if ceiling.hedges is not None else ceiling.model_copy(update={"hedges": defaults.hedges})

    def check(self, defaults: Settings) -> None:
        """Look at what becomes of the gateway's own settings under each.

        Raises:
            ConfigError: they can't work together.
        """
        for ceiling in (self.every, *self.own.values()):
            try:
                checked(Settings, {**defaults.model_dump(), **ceiling.lowered(defaults.model_dump())})
            except ConfigError as error:
                raise ConfigError(f"ceilings: {error}") from None


def _above(value: float | None, most: float) -> bool:
    return value is None or value > most


def _no(name: str, why: str) -> Refusal:
    return Refusal(400, f"{name}: {why}", param=name, code="above_ceiling")
