"""What has a model begin the answer, in its own tokens."""

from __future__ import annotations

from specreason_graph.contract.settings import Settings
from specreason_graph.generation.live import LiveRun
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Preset


async def cue(
    pair: Pair, live: LiveRun, settings: Settings, preset: Preset, *, mid_line: bool = False, calls: bool = False
) -> tuple[list[int], str]:
    """The preset's cue, and what tells of a schema; behind a step that was cut it begins a line of its own.

    Args:
        pair: whose tokens.
        live: keeps what is the run's own.
        settings: of the run.
        preset: of the run.
        mid_line: whether the reasoning ends in the middle of a line.
        calls: whether calls of tools follow, and no answer.
    """
    role, schema = settings.answer_by, None if calls else settings.answer_schema
    text = "\n" * mid_line + preset.cue(schema, boxed=settings.boxed, calls=calls)
    if schema is None:
        return (await pair.cue(role, text) if text else []), text
    if (role, text) not in live.cues:  # a schema is its run's own, and may be large
        live.cues[role, text] = (await pair.endpoint(role).encode(text, control=True)).ids
    return live.cues[role, text], text
