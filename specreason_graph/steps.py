"""The next reasoning step of a run, by either model: what `draft_step`, `regenerate` and `calibrate` write."""

from __future__ import annotations

from specreason_graph.endpoint.protocol import Usage
from specreason_graph.run import Run
from specreason_graph.settings import Role
from specreason_graph.state import Writing
from specreason_graph.writing import write_step


async def next_step(run: Run, role: Role) -> tuple[Writing, list[Usage]]:
    """Write up to a step boundary, the end of the reasoning, or the step's bounds; and what each request cost."""
    return await write_step(
        run.pair.endpoint(role),
        run.ledger(role),
        run.step_bounds(),
        run.sampling("draft_step" if role == "draft" else "regenerate"),
        boundary=run.preset.boundary,
        close=(await run.pair.closings(role, run.preset)).marker,
    )
