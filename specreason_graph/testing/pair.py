"""A base and a draft server at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from specreason_graph.contract.config import PairConfig
from specreason_graph.testing.script import Script
from specreason_graph.testing.server import ScriptedServer
from specreason_graph.testing.template import TemplateName


@dataclass(frozen=True, slots=True)
class ScriptedPair:
    """Two running servers."""

    base: ScriptedServer
    draft: ScriptedServer
    config: PairConfig


@asynccontextmanager
async def scripted_pair(
    base: Script | ScriptedServer,
    draft: Script | ScriptedServer,
    *,
    template: TemplateName = "instruct",
    preset: str | None = None,
) -> AsyncIterator[ScriptedPair]:
    """Start a pair of servers.

    Example:
        async with (
            scripted_pair(Script(["3 + 4 = 7."], scores=[2]), Script(["3 + 4 = 8."])) as servers,
            Pair(servers.config) as pair,
        ):
            graph = create_specreason(pair=pair).compile()

    Args:
        base: script of the base model, or a server that is not running yet, for any other option of one.
        draft: likewise.
        template: chat template of scripts.
        preset: name of the preset in the pair's configuration; None is `thinking` or `instruct`, as base's template.
    """
    servers = [
        ScriptedServer(it, template=template, model=f"scripted-{role}") if isinstance(it, Script) else it
        for role, it in (("base", base), ("draft", draft))
    ]
    async with servers[0] as first, servers[1] as second:
        kind = preset or ("instruct" if first.model.template == "instruct" else "thinking")
        yield ScriptedPair(first, second, PairConfig(base=first.config, draft=second.config, preset=kind))
