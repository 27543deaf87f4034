"""What a run may name: presets, judges and fitted policies, those of the data files and the user's own."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import TypeVar

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.policy import FittedPolicy, NamedPolicy, Policy, ScoreThreshold
from specreason_graph.models.presets import Judge, Preset

SCORE_THRESHOLD = "threshold"
"""The policy that every judge has: its score against a threshold."""

_Entry = TypeVar("_Entry")
_READERS: Mapping[str, Callable[[str], dict[str, object]]] = {"toml": tomllib.loads, "json": json.loads}


@dataclass(frozen=True, slots=True)
class Catalog:
    """The presets, judges and policies that a graph knows, by name."""

    presets: Mapping[str, Preset]
    judges: Mapping[str, Judge]
    policies: Mapping[str, NamedPolicy]

    def extended(
        self,
        presets: Iterable[Preset] = (),
        judges: Iterable[Judge] = (),
        policies: Iterable[NamedPolicy] = (),
    ) -> Catalog:
        """This catalog with some of the user's own; a name known already is replaced."""
        return Catalog(
            {**self.presets, **{preset.name: preset for preset in presets}},
            {**self.judges, **{judge.name: judge for judge in judges}},
            {**self.policies, **{policy.name: policy for policy in policies}},
        )

    def preset(self, name: str | None, base_model: str, draft_model: str) -> Preset:
        """The preset called `name`, or the one whose model names fit best; a draft never reached has no name.

        Raises:
            ConfigError: there is no such preset, or none fits these models.
        """
        if name is not None:
            return _named("preset", name, self.presets)
        fits = [
            preset
            for preset in self.presets.values()
            if preset.base
            and _is_named(base_model, preset.base)
            and (not draft_model or _is_named(draft_model, preset.draft))
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

    def judging(self, settings: Settings, preset: Preset, base_model: str, draft_model: str) -> tuple[Judge, Policy]:
        """What base is asked about a step, and how that is decided on.

        A run that names a judge or a score's parts gets the score's threshold; otherwise the preset's policy decides.

        Raises:
            ConfigError: an unknown name, a policy of another pair or another judge, or a threshold that no score has.
        """
        own = settings.judge or settings.score_method or settings.spots
        name = settings.policy or (preset.policy if not own else None) or SCORE_THRESHOLD
        if name == SCORE_THRESHOLD:
            return self._by_score(settings, preset)
        policy = _named("policy", name, self.policies)
        policy.check_fits(base_model, draft_model, preset.name)
        if own and (settings.judge != policy.judge.name or settings.score_method or settings.spots):
            raise ConfigError(
                f"policy: {name!r} was fitted on judge {policy.judge.name!r} as it is; leave judge, score_method and "
                f"spots alone, or use policy {SCORE_THRESHOLD!r}"
            )
        if isinstance(policy, FittedPolicy):
            _check_band(settings, 0, 1)
        return policy.judge, policy.at(settings.threshold)

    def _by_score(self, settings: Settings, preset: Preset) -> tuple[Judge, Policy]:
        judge = self.judge(settings.judge or preset.judge)
        parts = {"method": settings.score_method, "spots": settings.spots}
        if changed := {key: value for key, value in parts.items() if value is not None}:
            judge = judge.model_copy(update=changed)
        of_preset = preset.threshold is not None and judge.name == preset.judge
        threshold = preset.threshold if of_preset and preset.threshold is not None else judge.threshold
        threshold = threshold if settings.threshold is None else settings.threshold
        low, high = judge.bounds
        _check_band(settings, low, high)
        if not low <= threshold <= high:
            raise ConfigError(
                f"threshold: {threshold:g} is outside {low:g}..{high:g}, the range of judge {judge.name!r}"
            )
        return judge, ScoreThreshold(judge, threshold)


@cache
def builtin() -> Catalog:
    """The presets, judges and policies of the data files."""
    return Catalog(
        {name: Preset.model_validate({"name": name, **table}) for name, table in _tables("pairs")},
        {name: Judge.model_validate({"name": name, **table}) for name, table in _tables("judges")},
        {name: FittedPolicy.model_validate({"name": name, **table}) for name, table in _tables("policies")},
    )


def _is_named(model: str, part: str) -> bool:
    return fnmatchcase(model.lower(), f"*{part.lower()}*")


def _named(kind: str, name: str, known: Mapping[str, _Entry]) -> _Entry:
    if name not in known:
        raise ConfigError(f"{kind}: there is no {name!r}; known are {', '.join(sorted(known))}")
    return known[name]


def _check_band(settings: Settings, low: float, high: float) -> None:
    band = settings.ask_band
    if band is not None and not (low <= band[1] and band[0] <= high):
        raise ConfigError(
            f"ask_band: no score is in {band[0]:g}..{band[1]:g}; those of this judge and policy are {low:g}..{high:g}"
        )


def _tables(folder: str) -> list[tuple[str, dict[str, object]]]:
    found = (files("specreason_graph.models.presets") / folder).iterdir()
    return [
        (file.name.rpartition(".")[0], _READERS[file.name.rpartition(".")[2]](file.read_text(encoding="utf-8")))
        for file in sorted(found, key=lambda file: file.name)
        if file.name.rpartition(".")[2] in _READERS
    ]
