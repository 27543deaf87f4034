"""A scripted pair must be ready to hand to the graph."""

from __future__ import annotations

import pytest

from specreason_graph.testing import Script, ScriptedServer, scripted_pair


async def test_scripts_become_two_servers() -> None:
    """Guards the short form: two addresses, names, and the preset that fits the template."""
    async with scripted_pair(Script(["A."]), Script(["B."]), template="think") as pair:
        assert pair.config.base.base_url != pair.config.draft.base_url
        assert (pair.config.base.model, pair.config.draft.model) == ("scripted-base", "scripted-draft")
        assert pair.config.preset == "thinking"


async def test_servers_keep_their_options() -> None:
    """Guards the long form: any option of a server can differ between the two."""
    base = ScriptedServer(Script(["A."]), tokenizer="b", api_key="secret")
    async with scripted_pair(base, Script(["B."]), preset="mine") as pair:
        assert pair.base is base
        assert pair.config.base.api_key is not None
        assert pair.config.draft.api_key is None
        assert pair.config.preset == "mine"


async def test_a_stopped_server_can_start_again() -> None:
    """Guards tests of restarts: records and prefix cache live on, at another address."""
    server = ScriptedServer(Script(["A."]))
    async with server:
        pass
    async with server:
        assert server.url
    with pytest.raises(ValueError, match="base_url"):
        _ = ScriptedServer(Script(["A."])).config
