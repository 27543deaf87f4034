"""The proxy passes everything on as it is, and fails as it is told, at the wire."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from specreason_graph.testing import FaultProxy, Pace, Script, ScriptedServer, WireFault

ASKED = {"prompt": [5, 6, 7], "max_tokens": 50, "logprobs": 2}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(Script(["One cow.", "Two cows."]), template="think") as it:
        yield it


@pytest.fixture
async def proxy(server: ScriptedServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(server.url) as it:
        yield it


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_read=0.5)) as session:
        yield session


async def asked(client: aiohttp.ClientSession, url: str, **body: Any) -> bytes:
    async with client.post(f"{url}/v1/completions", json=ASKED | body, headers={"X-Session-ID": "run"}) as response:
        return await response.read()


async def events(client: aiohttp.ClientSession, url: str) -> list[str]:
    """Those that come before a stream breaks."""
    found = b""
    try:
        async with client.post(f"{url}/v1/completions", json=ASKED | {"stream": True}) as response:
            async for chunk in response.content.iter_any():
                found += chunk
    except (aiohttp.ClientError, TimeoutError) as error:
        found += f"\n\n{type(error).__name__}".encode()
    return [event for event in found.decode().split("\n\n") if event]


async def test_what_it_is_not_told_to_spoil_it_passes_on(
    server: ScriptedServer, proxy: FaultProxy, client: aiohttp.ClientSession
) -> None:
    """Guards its tests: what they see is the fault alone. Sessions, refusals and aborts go through, too."""
    plain = json.loads(await asked(client, server.url))
    through = json.loads(await asked(client, proxy.url))
    assert through["choices"] == plain["choices"]
    assert server.completions[-1].session == "run"
    assert len(await events(client, proxy.url)) == len(await events(client, server.url))
    async with client.post(f"{proxy.url}/v1/completions", json={"model": "other"}) as refused:
        assert refused.status == 404


async def test_who_leaves_leaves_the_server_behind_it() -> None:
    async with (
        ScriptedServer(Script(["One cow."] * 20), template="think", pace=Pace(seconds_per_token=0.02)) as server,
        FaultProxy(server.url) as proxy,
        aiohttp.ClientSession() as client,
    ):
        async with client.post(f"{proxy.url}/v1/completions", json=ASKED | {"stream": True}) as response:
            await response.content.readany()
            response.close()
        async with asyncio.timeout(30):
            await server.idle()
        assert server.completions[0].aborted


@pytest.mark.parametrize(
    ("fault", "last"),
    [
        (WireFault("reset", after=2), "Error"),
        (WireFault("stall", after=2), "SocketTimeoutError"),
        (WireFault("truncate", after=2), 'data: {"id"'),
        (WireFault("garbage", after=2), "data: {not JSON}"),
        (WireFault("status", after=2, status=503), '"code":503'),
        (WireFault("vanish", after=2), '"code":404'),
    ],
    ids=lambda it: getattr(it, "kind", ""),
)
async def test_a_stream_breaks_behind_so_many_events(
    proxy: FaultProxy, client: aiohttp.ClientSession, fault: WireFault, last: str
) -> None:
    proxy.fail(fault)
    found = await events(client, proxy.url)
    assert len(found) == 3
    assert all(json.loads(event.removeprefix("data: "))["choices"] for event in found[:2])
    assert last in found[2]
    assert len(await events(client, proxy.url)) > 3


async def test_a_stream_breaks_behind_so_many_bytes(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    proxy.fail(WireFault("reset", after_bytes=20))
    found = await events(client, proxy.url)
    assert len(found[0]) <= 20
    assert "Error" in found[-1]


async def test_a_slow_drip_is_the_whole_answer(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    whole = await events(client, proxy.url)
    proxy.fail(WireFault("drip", pause=0.0005))
    assert len(await events(client, proxy.url)) == len(whole)


@pytest.mark.parametrize(
    ("kind", "value"), [("null_logprobs", None), ("nan_logprobs", math.nan), ("infinite_logprobs", -math.inf)]
)
async def test_log_probabilities_of_either_dialect_are_spoiled(kind: Any, value: float | None) -> None:
    fault = WireFault(kind)
    vllm = {"choices": [{"text": "a", "logprobs": {"token_logprobs": [-1.0], "top_logprobs": [{"token_id:1": -1.0}]}}]}
    llamacpp = {"completion_probabilities": [{"id": 1, "logprob": -1.0, "top_logprobs": [{"id": 1, "logprob": -1.0}]}]}
    rows = {"prompt_logprobs": [None, {"1": {"logprob": -1.0}}]}
    for document in (vllm, llamacpp, rows):
        spelled = json.dumps(document, separators=(",", ":")).replace("-1.0", json.dumps(value)).encode()
        assert fault.changed(json.dumps(document).encode()) == spelled
        assert b"logprob" not in WireFault("no_logprobs").changed(spelled).replace(b"top_logprobs", b"")


async def test_instead_of_an_answer(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    """Each in its turn, and then the server again."""
    proxy.fail(WireFault("html"))
    proxy.fail(WireFault("status", status=429, retry_after="7"))
    proxy.fail(WireFault("vanish"))
    proxy.fail(WireFault("refuse"))
    proxy.fail(WireFault("stall"))
    for status, says in ((200, "<html>"), (429, "told to fail"), (404, "told to fail")):
        async with client.post(f"{proxy.url}/v1/completions", json=ASKED) as response:
            assert (response.status, says in await response.text()) == (status, True)
            assert response.headers.get("Retry-After") == ("7" if status == 429 else None)
    for error in (aiohttp.ClientError, TimeoutError):
        with pytest.raises(error):
            await asked(client, proxy.url)
    assert json.loads(await asked(client, proxy.url))["choices"]


async def test_a_restart_drops_all_refuses_and_comes_back(proxy: FaultProxy, client: aiohttp.ClientSession) -> None:
    proxy.fail(WireFault("stall"))
    waiting = asyncio.create_task(asked(client, proxy.url))
    async with asyncio.timeout(30):
        while not proxy.requests:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)
    await proxy.stop()
    with pytest.raises(aiohttp.ClientError):
        await waiting
    with pytest.raises(aiohttp.ClientConnectorError):
        await asked(client, proxy.url)
    await proxy.start()
    assert json.loads(await asked(client, proxy.url))["choices"]
    await proxy.restart(0.01)
    assert json.loads(await asked(client, proxy.url))["choices"]


async def test_a_server_that_is_gone_behind_it_is_a_502(client: aiohttp.ClientSession) -> None:
    async with ScriptedServer(Script(["A."])) as server:
        pass
    async with FaultProxy(server.url) as proxy, client.get(f"{proxy.url}/health") as response:
        assert response.status == 502
