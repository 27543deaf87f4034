"""How the steps of a journal were judged: by which judge and policy each arm ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from specreason_graph.contract.errors import checked
from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import Catalog, builtin
from specreason_graph.judging.policy import FittedPolicy, Policy
from specreason_graph.models.presets import Judge
from specreason_graph.tools.bench.chance import RandomAcceptance
from specreason_graph.tools.bench.outcome import chosen_by

ABOUT = {"settings", "preset", "base_model", "draft_model"}
"""What a journal's first line has to say for it."""


def catalog_of(about: Mapping[str, Any]) -> Catalog:
    """The built-in judges and policies, with those that a journal holds: as they were then."""
    fitted = [checked(FittedPolicy, about["policy"])] if about.get("policy") else []
    judges = [checked(Judge, judge) for judge in about.get("judges", ())]
    return builtin().extended(judges=judges, policies=[*fitted, RandomAcceptance()])


def judging_of(
    catalog: Catalog,
    about: Mapping[str, Any],
    arm: str,
    changed: Mapping[str, Any] | None = None,
    threshold: float | None = None,
) -> tuple[Judge, Policy]:
    """How an arm was judged, with what is changed on top.

    Raises:
        ConfigError: its judge or policy is not known here, or fits another pair.
    """
    was = checked(Settings, about["settings"]).overridden(by=chosen_by(arm))
    chosen = was.overridden(by={**(changed or {}), **({} if threshold is None else {"threshold": threshold})})
    preset = catalog.preset(about["preset"], about["base_model"], about["draft_model"])
    return catalog.judging(chosen, preset, about["base_model"], about["draft_model"])
