"""Runs in number and in time: bounds, clients that leave, and a gateway that stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from serving import Held

from specreason_graph import ChatSpecReason

from .served import BASE, DRAFT, Served, asking, served, slow, until


async def idle(it: Served) -> None:
    """Nothing runs: neither here nor on the servers."""
    await until(lambda: not it.gateway.jobs.running)
    async with asyncio.timeout(30):
        await it.servers.base.idle()
        await it.servers.draft.idle()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("busy", ["base", "draft"])
async def test_a_client_that_leaves_stops_its_run_on_both_servers(busy: str, stream: bool) -> None:
    """Guards GPUs: a closed browser tab must not go on reasoning."""
    slow_base, slow_draft = slow(BASE, 0.5), slow(DRAFT, 0.5, role="draft")
    base, draft = (slow_base, DRAFT) if busy == "base" else (BASE, slow_draft)
    async with served(base, draft) as it:
        server = it.servers.base if busy == "base" else it.servers.draft
        async with it.http as http:
            asked = asyncio.create_task(http.post("/v1/chat/completions", json=asking(stream=stream)))
            await until(lambda: server.running)
            asked.cancel()
            await asyncio.wait({asked})
        await idle(it)
        assert any(record.aborted for record in server.completions)


async def test_a_client_that_leaves_in_the_middle_of_a_stream_stops_its_run() -> None:
    async with served(slow(BASE, 0.5), DRAFT) as it, it.http as http:
        async with http.stream("POST", "/v1/chat/completions", json=asking(stream=True)) as reply:
            assert "There are 3 cows." in await anext(reply.aiter_lines())  # the next step is base's own
            assert it.gateway.jobs.running == 1
        await idle(it)


async def test_runs_wait_for_their_turn_and_beyond_the_queue_get_503() -> None:
    base = Held(BASE)
    async with served(base, DRAFT, keep_alive=0.1, at_once=1, waiting=1) as it, it.http as http:
        first = asyncio.create_task(http.post("/v1/chat/completions", json=asking()))
        await until(lambda: it.gateway.jobs.running)
        second = asyncio.create_task(http.post("/v1/chat/completions", json=asking(stream=True)))
        await until(lambda: it.gateway.jobs.waiting)
        assert (await http.get("/health")).json() == {"status": "ok", "running": 1, "waiting": 1}
        third = await http.post("/v1/chat/completions", json=asking())
        assert (third.status_code, third.json()["error"]["code"]) == (503, "overloaded")
        assert int(third.headers["retry-after"]) > 0
        base.let_go()
        assert (await first).json()["choices"][0]["message"]["content"] == "There are 12 legs."
        assert "There" in (await second).text
        assert (await http.post("/v1/chat/completions", json=asking())).status_code == 200


async def test_a_client_that_leaves_the_queue_gives_its_place_back() -> None:
    base = Held(BASE)
    async with served(base, DRAFT, at_once=1, waiting=1) as it, it.http as http:
        first = asyncio.create_task(http.post("/v1/chat/completions", json=asking()))
        await until(lambda: it.gateway.jobs.running)
        second = asyncio.create_task(http.post("/v1/chat/completions", json=asking()))
        await until(lambda: it.gateway.jobs.waiting)
        second.cancel()
        await until(lambda: not it.gateway.jobs.waiting)
        base.let_go()
        assert (await first).status_code == 200


async def test_many_at_once_all_get_the_answer() -> None:
    async with served(at_once=4) as it, it.http as http:
        replies = await asyncio.gather(*(http.post("/v1/chat/completions", json=asking()) for _ in range(20)))
        assert {reply.json()["choices"][0]["message"]["content"] for reply in replies} == {"There are 12 legs."}
        await idle(it)


async def test_a_gateway_that_stops_says_so_and_leaves_nothing_running() -> None:
    async with served(Held(BASE), DRAFT, keep_alive=0.1) as it, it.http as http:
        whole = asyncio.create_task(http.post("/v1/chat/completions", json=asking()))
        async with http.stream("POST", "/v1/chat/completions", json=asking(stream=True)) as stream:
            await until(lambda: it.gateway.jobs.running == 2)
            await it.gateway.jobs.stop()
            told = (await stream.aread()).decode()
        assert ((await whole).status_code, (await whole).json()["error"]["code"]) == (503, "stopping")
        assert told.endswith("data: [DONE]\n\n")
        assert '"stopping"' in told
        await idle(it)


async def test_a_failure_that_nobody_foresaw_is_an_internal_error_and_tells_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any, **__: Any) -> AsyncIterator[AIMessageChunk]:
        yield AIMessageChunk(content="some text")
        raise RuntimeError("a secret")

    async def broken_at_once(*_: Any, **__: Any) -> AIMessage:
        raise RuntimeError("a secret")

    async with served() as it, it.http as http:
        monkeypatch.setattr(ChatSpecReason, "astream", broken)
        monkeypatch.setattr(ChatSpecReason, "ainvoke", broken_at_once)
        whole = await http.post("/v1/chat/completions", json=asking())
        assert (whole.status_code, whole.json()["error"]["code"]) == (500, "internal_error")
        assert "a secret" not in whole.text
        lines: list[str] = []
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012
            async with http.stream("POST", "/v1/chat/completions", json=asking(stream=True)) as reply:
                async for line in reply.aiter_lines():
                    lines.append(line)
    assert '"internal_error"' in "".join(lines)
    assert "a secret" not in "".join(lines)
    assert caplog.text.count("RuntimeError: a secret") >= 2
