"""What all records of a journal have in common."""

from __future__ import annotations

from typing import Any

from specreason_graph.contract.settings import Settings
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Preset


async def about(pair: Pair, preset: Preset, settings: Settings, problems: str) -> dict[str, Any]:
    """The pair, its preset, where the problems came from, and what was set."""
    cards = await pair.cards()
    return {
        "base_model": cards["base"].name,
        "draft_model": cards["draft"].name,
        "preset": preset.name,
        "problems": problems,
        "settings": settings.model_dump(exclude_unset=True),
    }
