"""The next reasoning step of a run, by either model, and the two ways in which they overlap.

Look-ahead: the draft goes on behind its step while base judges it. Hedge: base begins its own version of a step when
the draft does. Both are streams that run on; whether one still fits is seen by the ledger behind which it goes on.
The judge decides all the same, also where base is done before it: what is kept does not depend on who was faster.
"""

from __future__ import annotations

from specreason_graph.contract.settings import Role
from specreason_graph.contract.state import Writing
from specreason_graph.generation.stream import Prompted, Stream
from specreason_graph.generation.usage import discarded, used
from specreason_graph.loop.run import Run


async def next_step(run: Run, role: Role) -> Writing:
    """Take a model's next step: up to a step boundary, the end of the reasoning, or the step's bounds."""
    stream = await writing(run, role)
    step, requests = await stream.step(run.step_bounds())
    run.usage = used(run.usage, role, requests, step["seconds"])
    if not stream.goes_on:
        await drop(run, role)
    return step


async def writing(run: Run, role: Role) -> Stream:
    """The stream that goes on behind the run's ledger: the one that is there, else a new one."""
    held = run.streams.get(role)
    if held is not None and held.goes_on and held.at == run.ledger(role).mark:
        return held
    await drop(run, role)
    runs_on, bounds = run.runs_on(role), run.step_bounds()
    stream = Stream(
        Prompted(
            run.pair.endpoint(role),
            run.ledger(role),
            run.sampling("draft_step" if role == "draft" else "regenerate"),
            run.preset.boundary,
            (await run.pair.closings(role, run.preset)).marker,
            run.room(role) if runs_on else bounds.tokens,
            runs_on,
        )
    )
    run.streams[role] = stream
    if role == "base" and runs_on:
        run.pair.leases.hedges.add(stream)
    return stream


async def drop(run: Run, role: Role) -> None:
    """Stop what a model is writing, if it is; what nobody took of it is counted as discarded."""
    stream = run.streams.pop(role, None)
    if stream is not None:
        wasted, requests = await stream.cut()
        run.pair.leases.hedges.discard(stream)
        run.usage = discarded(used(run.usage, role, requests, 0.0), role, wasted)
