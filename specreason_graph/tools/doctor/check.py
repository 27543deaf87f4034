"""One thing that is looked at: what was found, and how to put it right."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal, NamedTuple

from specreason_graph.contract.errors import ConfigError, SpecReasonError
from specreason_graph.contract.settings import Role

State = Literal["ok", "warn", "wrong", "skipped"]
"""Fine; works, but worse than it could; does not work; not looked at, since something before it does not work."""


class Finding(NamedTuple):
    """What was found; `fix` says what to do about it."""

    state: State
    found: str
    fix: str | None = None


class Check(NamedTuple):
    """A line of the diagnosis; `role` is None where it is about the pair."""

    name: str
    role: Role | None
    state: State
    found: str
    fix: str | None


class Probe(NamedTuple):
    """A check that is still to be made."""

    name: str
    role: Role | None
    look: Callable[[], Awaitable[Finding]]
    fix: str = "see what the server logs"
    """What to do when looking itself fails, and the error names no fix."""
    needs: Sequence[str] = ()
    """Checks of the same role or of the pair without which there is nothing to look at."""


async def checked(probe: Probe, before: Sequence[Check]) -> Check:
    """Make a check; an error of ours is what it found, and one that it needs may be the reason to leave it out."""
    roles = ("base", "draft", None) if probe.role is None else (probe.role, None)
    for check in before:
        if check.name in probe.needs and check.role in roles and check.state in ("wrong", "skipped"):
            needed = f"needs: {check.role} {check.name}" if check.role else f"needs: {check.name}"
            why = check.found if check.state == "skipped" else needed
            return Check(probe.name, probe.role, "skipped", why, None)
    try:
        finding = await probe.look()
    except SpecReasonError as error:
        found, fix = str(error), ""
        if isinstance(error, ConfigError):  # whose messages say the fix there
            found, _, fix = found.partition("; ")
        finding = Finding("wrong", found, fix or probe.fix)
    return Check(probe.name, probe.role, *finding)
