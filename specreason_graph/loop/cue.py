"""What has a model begin the answer, in its own tokens."""

from __future__ import annotations

from specreason_graph.contract.settings import Settings
from specreason_graph.generation.live import LiveRun
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Preset


async def cue(pair: Pair, live: LiveRun, settings: Settings, preset: Preset, *, mid_line: bool = False) -> list[int]:
    """The preset's cue, and what tells of a schema; behind a step that was cut it begins a line of its own."""
    role, text = settings.answer_by, "\n" * mid_line + preset.cue(settings.answer_schema, boxed=settings.boxed)
    if settings.answer_schema is None:
        return await pair.cue(role, text)
    if (role, text) not in live.cues:  # a schema is its run's own, and may be large
        live.cues[role, text] = (await pair.endpoint(role).encode(text, control=True)).ids
    return live.cues[role, text]
