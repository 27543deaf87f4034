"""A pair before the doctor: each way of being wrong has its line and its fix, and stops no other line."""

from collections.abc import Mapping
from typing import Any

from specreason_graph.contract.settings import Settings
from specreason_graph.judging.catalog import builtin
from specreason_graph.models.presets import Judge
from specreason_graph.testing import Pace, Script, ScriptedServer, scripted_pair
from specreason_graph.tools.doctor import Check, Diagnosis, diagnose

STEP = "There are 3 cows of 4 legs each, so 3 * 4 = 12 legs."
PACES = {"base": Pace(seconds_per_token=0.01), "draft": Pace()}
PHRASES = Judge(
    name="phrases",
    source="here",
    kind="labels",
    threshold=1,
    request="Is the last reasoning step good?",
    prefill="{open}It is ",
    labels=("a bad step", "a good step"),
)


def server(role: str, script: Script | None = None, **options: Any) -> ScriptedServer:
    standard: dict[str, Any] = {"template": "think", "context": 16384, "model": role, "pace": PACES[role]}
    return ScriptedServer(script or Script([STEP, "So 12."], scores=[7.4]), **{**standard, **options})


async def examined(
    base: ScriptedServer | None = None,
    draft: ScriptedServer | None = None,
    endpoints: Mapping[str, Mapping[str, Any]] | None = None,
    preset: str | None = "thinking",
    **settings: Any,
) -> Diagnosis:
    """A diagnosis; `endpoints` changes how a role's server is reached."""
    async with scripted_pair(base or server("base"), draft or server("draft")) as servers:
        changed: dict[str, Any] = {"preset": preset} | {
            role: getattr(servers.config, role).model_copy(update=dict(update))
            for role, update in (endpoints or {}).items()
        }
        config, catalog = servers.config.model_copy(update=changed), builtin().extended(judges=[PHRASES])
        return await diagnose(config, Settings(**settings), catalog, "How many legs have 3 cows?", lambda _: None)


def line(diagnosis: Diagnosis, name: str, role: str | None = None) -> Check:
    [found] = [check for check in diagnosis.checks if (check.name, check.role) == (name, role)]
    return found


def of(diagnosis: Diagnosis, state: str) -> set[tuple[str, str | None]]:
    return {(check.name, check.role) for check in diagnosis.checks if check.state == state}
