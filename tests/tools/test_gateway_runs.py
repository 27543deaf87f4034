"""A run of a gateway, by the address that stands in a browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from use.gateway.served import BASE, DRAFT, KEY, asking, served, slow, until

from specreason_graph.contract.errors import ConfigError, SpecReasonError
from specreason_graph.tools.gateway_runs import of_gateway
from specreason_graph.tools.recorded_runs import page_of_run


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECREASON_GATEWAY_KEY", KEY)


async def test_a_run_of_a_gateway_has_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(seen=10) as it, it.http as http:
        await http.post("/v1/chat/completions", json=asking())
        assert it.gateway.seen is not None
        [run] = it.gateway.seen.of("tester")
        for address in (f"{it.url}/runs/{run.id}", f"{it.url}/runs/{run.id}/?x=1#run-1-steps"):
            page = await asyncio.to_thread(page_of_run, address)
            assert (page.answer, page.about, page.goes_on) == ("There are 12 legs.", "answered", False)
        with pytest.raises(ConfigError, match="--runs"):
            await asyncio.to_thread(of_gateway, f"{it.url}/runs/other")
        with pytest.raises(ConfigError, match="no run's page"):
            await asyncio.to_thread(of_gateway, f"{it.url}/runs")
        monkeypatch.delenv("SPECREASON_GATEWAY_KEY")
        with pytest.raises(ConfigError, match="SPECREASON_GATEWAY_KEY"):
            await asyncio.to_thread(of_gateway, f"{it.url}/runs/{run.id}")
    with pytest.raises(SpecReasonError, match="can't get"):
        await asyncio.to_thread(of_gateway, f"{it.url}/runs/{run.id}")


async def test_a_run_that_goes_on_is_not_called_stopped() -> None:
    async with served(slow(BASE, 0.1), slow(DRAFT, 0.1, role="draft"), seen=10) as it, it.http as http:
        asked = asyncio.create_task(http.post("/v1/chat/completions", json=asking()))
        assert it.gateway.seen is not None
        seen = it.gateway.seen
        await until(lambda: any(run.report()["question"] for run in seen.of("tester")))
        [run] = seen.of("tester")
        page = await asyncio.to_thread(page_of_run, f"{it.url}/runs/{run.id}")
        assert (page.about, page.ended, page.goes_on) == ("running", "it goes on", True)
        asked.cancel()


@asynccontextmanager
async def answering(**answer: Any) -> AsyncIterator[tuple[str, list[str | None]]]:
    """Some other server, and the keys that it was sent."""
    sent: list[str | None] = []

    async def say(request: web.Request) -> web.Response:
        sent.append(request.headers.get("Authorization"))
        return web.Response(**answer)

    app = web.Application()
    app.router.add_get("/{path:.*}", say)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", sent
    await runner.cleanup()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"text": "<html>Log in</html>", "content_type": "text/html"}, "no run"),
        ({"text": "[1]", "content_type": "application/json"}, "no run"),
        ({"text": '{"steps": 3}', "content_type": "application/json"}, "no run of this version"),
        ({"text": "{", "content_type": "application/json"}, "can't get"),
        ({"status": 403}, "status 403"),
        ({"status": 500}, "status 500"),
    ],
)
async def test_what_is_no_gateway_is_said_in_one_line(answer: dict[str, Any], says: str) -> None:
    async with answering(**answer) as (url, _):
        with pytest.raises(SpecReasonError, match=says) as caught:
            await asyncio.to_thread(page_of_run, f"{url}/runs/x")
    assert "\n" not in str(caught.value)


async def test_a_redirect_takes_the_key_nowhere() -> None:
    async with answering(text="{}", content_type="application/json") as (other, sent):
        to = {"status": 302, "headers": {"Location": f"{other}/login"}}
        async with answering(**to) as (url, _):
            with pytest.raises(SpecReasonError, match="status 302"):
                await asyncio.to_thread(of_gateway, f"{url}/runs/x")
    assert sent == []


@pytest.mark.parametrize("address", ["http://me:secret@127.0.0.1:9/runs/x", "https://me:secret@[::1]:9/runs/a@b"])
def test_a_name_that_is_told_again_has_no_password(address: str) -> None:
    """Guards logs of jobs where nobody is at the address."""
    with pytest.raises(SpecReasonError, match="can't get http") as caught:
        page_of_run(address)
    assert "secret" not in str(caught.value)
    assert "me:" not in str(caught.value)


async def test_a_password_in_the_address_is_told_to_nobody() -> None:
    async with answering(status=500) as (url, sent):
        address = url.replace("http://", "http://me:secret@")
        with pytest.raises(SpecReasonError) as caught:
            await asyncio.to_thread(of_gateway, f"{address}/runs/x")
    assert "secret" not in str(caught.value)
    assert sent == [f"Bearer {KEY}"]
