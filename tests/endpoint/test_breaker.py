"""A server that is gone costs its timeout once: requests then fail at once, until one has looked and found it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import (
    EndpointBusy,
    EndpointError,
    EndpointFailed,
    EndpointTimeout,
    EndpointUnreachable,
)
from specreason_graph.endpoint import Endpoint, connect
from specreason_graph.endpoint.breaker import Breaker
from specreason_graph.endpoint.failures import told_failures
from specreason_graph.testing import Fault, Pace, Script, ScriptedServer

from .contract import collected

PROMPT = [5, 6, 7]


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(Script(["One cow.", "Two cows."])) as it:
        yield it


@pytest.fixture
async def endpoint(server: ScriptedServer) -> AsyncIterator[Endpoint]:
    it = connect("base", server.config.model_copy(update={"timeout": 0.7, "patience": 0.5}))
    await it.card()
    yield it
    await it.aclose()


async def asked(server: ScriptedServer) -> None:
    """Once a request is there."""
    async with asyncio.timeout(30):
        while not server.running:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)


def short(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for name in ("breaker._FIRST", "breaker._LONGEST", "failures.SILENCE"):
        monkeypatch.setattr(f"specreason_graph.endpoint.{name}", seconds)


async def test_a_server_that_hangs_costs_one_timeout(server: ScriptedServer, endpoint: Endpoint) -> None:
    """Guards runs: each step would wait as long again; the error says what it was and when it may be over."""
    server.fail(Fault("hang"), times=None)
    with pytest.raises(EndpointTimeout):
        await endpoint.read([PROMPT])
    sent = len(server.requests)
    for _ in range(10):
        with pytest.raises(EndpointTimeout, match=r"sent nothing for 0\.7 s.*tried again in [123]\d\.\d s") as failed:
            await endpoint.read([PROMPT])
    assert len(server.requests) == sent
    assert 10 < (failed.value.retry_after or 0) <= 30


async def test_silence_in_a_stream_is_looked_at_before_anybody_waits_as_long_again(
    server: ScriptedServer, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards the rest of that very generation: a look takes ten seconds at most, a timeout minutes."""
    monkeypatch.setattr("specreason_graph.endpoint.sessions.CONNECT", 0.2)
    server.fail(Fault("hang", after=1))
    server.fail(Fault("hang"), path="/v1/models", times=None)
    with pytest.raises(EndpointTimeout, match="it is left alone"):
        await collected(endpoint, PROMPT)
    assert len(server.completions) == 1


async def test_what_is_kept_back_is_told_to_nobody(server: ScriptedServer, endpoint: Endpoint) -> None:
    """Guards logs and counts of faults: nothing was sent, so nothing failed anew."""
    told: list[EndpointError] = []
    told_failures.set(told.append)
    server.fail(Fault("hang"), times=None)
    for _ in range(10):
        with pytest.raises(EndpointTimeout):
            await endpoint.read([PROMPT])
    assert len(told) == 1


async def test_one_request_looks_and_then_all_are_answered(
    server: ScriptedServer, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards servers that come up under load: they meet one small request, not all that were waiting."""
    short(monkeypatch, 0.2)
    server.fail(Fault("close"), path=None, times=None)
    with pytest.raises(EndpointUnreachable):
        await endpoint.read([PROMPT])
    for _ in range(2):
        before = len(server.requests)
        await asyncio.sleep(0.25)
        found = await asyncio.gather(*(endpoint.read([PROMPT]) for _ in range(10)), return_exceptions=True)
        assert all(isinstance(it, EndpointUnreachable) for it in found)
        looks = [record.path for record in server.requests[before:]]
        assert set(looks) == {"/v1/models"}
        assert len(looks) <= 2  # the HTTP client itself sends a GET twice where a kept connection was dropped
    server._faults.clear()
    await asyncio.sleep(0.25)
    assert (await endpoint.read([PROMPT])).items
    assert all(await asyncio.gather(*(endpoint.read([PROMPT]) for _ in range(10))))


async def test_a_server_that_restarts_is_soon_found_again() -> None:
    """Guards the time after: refusals cost nothing, so the first looks come soon."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    endpoint = connect("base", EndpointConfig(base_url=url, patience=0))
    waits = []
    for _ in range(2):
        with pytest.raises(EndpointUnreachable):
            await endpoint.read([PROMPT])
        with pytest.raises(EndpointUnreachable) as failed:
            await endpoint.read([PROMPT])
        waits.append(failed.value.retry_after or 0)
        await asyncio.sleep(waits[-1])
    assert waits[0] < 1.0 < waits[1] < 2.0
    await endpoint.aclose()


async def test_a_request_that_hangs_beside_others_that_are_answered_is_its_own_matter(server: ScriptedServer) -> None:
    """Guards all runs against one prompt that a server chokes on."""
    endpoint = connect("base", server.config.model_copy(update={"timeout": 0.7}))
    await endpoint.card()
    server.fail(Fault("hang"))
    stuck = asyncio.create_task(endpoint.read([PROMPT]))
    await asked(server)
    assert (await endpoint.read([PROMPT])).items
    with pytest.raises(EndpointTimeout):
        await stuck
    assert (await endpoint.read([PROMPT])).items
    await endpoint.aclose()


async def test_a_stream_that_writes_says_that_its_server_is_there() -> None:
    """Guards slow servers: they answer somebody all the time."""
    async with ScriptedServer(Script(["One cow, two cows."]), pace=Pace(seconds_per_token=0.1)) as server:
        endpoint = connect("base", server.config.model_copy(update={"timeout": 0.7}))
        prompt = await endpoint.render([{"role": "user", "content": "?"}], {})
        writing = asyncio.create_task(collected(endpoint, prompt))
        await asked(server)
        server.fail(Fault("hang"))
        with pytest.raises(EndpointTimeout):
            await endpoint.read([prompt])
        assert (await writing).text
        assert (await endpoint.read([prompt])).items
        await endpoint.aclose()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_that_answers_is_no_dead_one(server: ScriptedServer, endpoint: Endpoint, status: int) -> None:
    """Guards busy servers, and those that a request broke on: others are asked as before."""
    server.fail(Fault("status", status=status, retry_after="9"))
    with pytest.raises(EndpointFailed):
        await endpoint.read([PROMPT])
    assert (await endpoint.read([PROMPT])).items


async def test_a_gateway_without_its_server_is_as_dead(server: ScriptedServer, endpoint: Endpoint) -> None:
    server.fail(Fault("status", status=502), times=None)
    with pytest.raises(EndpointFailed, match="502"):
        await endpoint.read([PROMPT])
    asked = len(server.completions)
    with pytest.raises(EndpointFailed, match=r"502.*tried again in"):
        await endpoint.read([PROMPT])
    assert len(server.completions) == asked > 1


async def test_a_gateway_that_asks_for_a_day_is_looked_at_before_that(server: ScriptedServer) -> None:
    """Guards runs against a maintenance page: its server is back long before, and a look costs nothing."""
    endpoint = connect("base", server.config.model_copy(update={"patience": 0}))
    server.fail(Fault("status", status=502, retry_after="86400"), times=None)
    for _ in range(2):
        with pytest.raises(EndpointFailed) as failed:
            await endpoint.read([PROMPT])
    assert "tried again in" in str(failed.value)
    assert (failed.value.retry_after or 0) <= 30
    await endpoint.aclose()


def test_who_looks_in_a_loop_that_ends_does_not_keep_others_out_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards threads: a look has its time, and whoever was cancelled gives it back at once."""
    now = [1000.0]
    monkeypatch.setattr("specreason_graph.endpoint.breaker.time.monotonic", lambda: now[0])
    breaker = Breaker()
    breaker.lost(EndpointBusy("gone", 502), now[0], doubtful=True)
    assert breaker.enter(0.1)
    with pytest.raises(EndpointBusy):
        breaker.enter(0.1)
    now[0] += 0.12
    assert breaker.enter(10.0)
    breaker.not_looked()
    assert breaker.enter(10.0)
    breaker.answered()
    assert not breaker.enter(10.0)


def test_who_looked_in_vain_fails_at_once_and_the_next_look_comes_in_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards busy machines: where the pause was over before anybody came to say so, it became a look's ten seconds."""
    now = [1000.0]

    def late() -> float:
        now[0] += 5.0
        return now[0]

    monkeypatch.setattr("specreason_graph.endpoint.breaker.time.monotonic", late)
    breaker = Breaker()
    breaker.lost(EndpointUnreachable("gone"), now[0])
    for _ in range(3):
        assert breaker.enter(3600.0)
        with pytest.raises(EndpointUnreachable, match=r"tried again in \d+\.0 s"):
            breaker.still_lost()
        now[0] += 10.0
