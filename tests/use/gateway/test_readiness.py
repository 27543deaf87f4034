"""Whether a gateway can answer: asked of its servers, and told to balancers."""

from __future__ import annotations

import asyncio

import pytest

from specreason_graph.testing import Fault
from specreason_graph.use.gateway import readiness

from .served import served


async def test_ready_is_not_health(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards balancers: what lives but can't answer gets no requests."""
    monkeypatch.setattr(readiness, "_FRESH", 0.0)
    async with served() as it, it.http as http:
        nobody = {"Authorization": ""}
        ready = await http.get("/ready", headers=nobody)
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "base": "up", "draft": "up"})
        it.servers.draft.fail(Fault("status", status=500, message="secret"), path="/tokenize")
        ready = await http.get("/ready", headers=nobody)
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "base": "up", "draft": "down"})
        it.servers.base.fail(Fault("status", status=500, message="secret"), path="/tokenize")
        ready = await http.get("/ready", headers=nobody)
        assert (ready.status_code, ready.json()) == (503, {"status": "not ready", "base": "down", "draft": "up"})
        assert (await http.get("/health", headers=nobody)).status_code == 200
        assert (await http.get("/ready", headers=nobody)).status_code == 200
        await it.gateway.jobs.stop()
        ready = await http.get("/ready", headers=nobody)
        assert (ready.status_code, ready.json()["status"]) == (503, "stopping")


async def test_readiness_is_asked_for_once_by_all_who_want_to_know() -> None:
    async with served() as it, it.http as http:
        before = len(it.servers.base.requests)
        replies = await asyncio.gather(*(http.get("/ready") for _ in range(20)))
        assert {reply.status_code for reply in replies} == {200}
        assert len(it.servers.base.requests) == before + 1
