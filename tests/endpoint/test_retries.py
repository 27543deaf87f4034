"""What is tried again, how often and for how long: at one server, before the first token."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator
from email.utils import formatdate

import pytest
from aiohttp import web
from tenacity import RetryCallState
from testing.clock import on_jumping_clock

from specreason_graph.contract.config import EndpointConfig, Environment
from specreason_graph.contract.errors import (
    EndpointBusy,
    EndpointError,
    EndpointFailed,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    TruncatedResponse,
)
from specreason_graph.endpoint import Endpoint, connect, retries
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.retries import asked_to_wait, is_passing, patience_with, retrying
from specreason_graph.testing import Fault, Script, ScriptedServer

from .contract import collected
from .fakes import serving

PROMPT = [5, 6, 7]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds between tries, in their order; behind the last try they were not waited for. No machine is too slow."""
    noted, wait = list[float](), retries._wait

    def waited(state: RetryCallState) -> float:
        noted.append(wait(state))
        return noted[-1]

    monkeypatch.setattr(retries, "_wait", waited)
    return noted


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(Script(["One cow.", "Two cows."])) as it:
        yield it


@pytest.fixture
async def endpoint(server: ScriptedServer) -> AsyncIterator[Endpoint]:
    it = connect("base", server.config.model_copy(update={"patience": 2.0}))
    await it.card()
    yield it
    await it.aclose()


@pytest.mark.parametrize("after", [None, 0], ids=["instead of an answer", "before the first token"])
@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_what_may_pass_is_tried_again(
    server: ScriptedServer, endpoint: Endpoint, status: int, after: int | None
) -> None:
    """Guards runs: a full queue, a limit and a gateway that lost its server for a moment end none."""
    server.fail(Fault("status", status=status, after=after), times=2)
    assert (await collected(endpoint, PROMPT)).end.why == "end_of_turn"
    assert len(server.completions) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422, 500])
async def test_what_would_be_so_again_is_asked_once(server: ScriptedServer, endpoint: Endpoint, status: int) -> None:
    """Guards servers: a request that broke one must not be sent to it, or another, once more."""
    server.fail(Fault("status", status=status))
    with pytest.raises(EndpointFailed if status == 500 else EndpointRefused) as failed:
        await collected(endpoint, PROMPT)
    assert failed.value.status == status  # type: ignore[attr-defined]
    assert len(server.completions) == 1


async def test_a_limit_that_stays_is_an_error_that_says_what_to_do(server: ScriptedServer, waits: list[float]) -> None:
    """Guards users of hosted servers: they are told how to go on, and it does not take for ever."""
    endpoint = connect("base", server.config.model_copy(update={"patience": 0.6}))
    server.fail(Fault("status", status=429, message="rate limit"), times=None)
    with pytest.raises(EndpointBusy, match=r"429: rate limit \(tries: \d in .* fewer runs at once.*patience") as busy:
        await endpoint.read([PROMPT])
    assert sum(waits[:-1]) < 0.6
    assert busy.value.status == 429
    assert 1 < len(server.completions) <= 8
    await endpoint.aclose()


async def test_without_patience_a_request_is_sent_once(server: ScriptedServer) -> None:
    endpoint = connect("base", server.config.model_copy(update={"patience": 0}))
    server.fail(Fault("status", status=503))
    with pytest.raises(EndpointBusy):
        await endpoint.read([PROMPT])
    assert len(server.completions) == 1
    await endpoint.aclose()


async def test_a_server_is_given_the_time_that_it_asks_for(
    server: ScriptedServer, endpoint: Endpoint, waits: list[float]
) -> None:
    """Guards limits by the minute, which a try too early would only lengthen."""
    server.fail(Fault("status", status=429, retry_after="1"))
    began = time.monotonic()
    assert (await endpoint.read([PROMPT])).items
    assert time.monotonic() - began >= 1.0
    [wait] = waits
    assert 1.0 <= wait <= 1.3


def test_a_server_that_asks_for_no_time_is_not_hammered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards runs and servers: `Retry-After: 0`, or a date by a clock that is late, spent eight tries in a second."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    busy, again = EndpointBusy("busy", 429), retrying(lambda: 1000.0, is_passing)
    busy.retry_after = 0.0

    async def asked() -> None:
        raise busy

    with pytest.raises(EndpointBusy):
        on_jumping_clock(again(asked))
    assert again.statistics["idle_for"] > 10


async def test_who_is_asked_to_wait_too_long_does_not_wait_at_all(server: ScriptedServer, endpoint: Endpoint) -> None:
    """Guards runs against a `Retry-After` of an hour; whoever resumes them can read it off the error."""
    server.fail(Fault("status", status=503, retry_after=formatdate(time.time() + 3600, usegmt=True)))
    with pytest.raises(EndpointBusy, match=r"asks to wait 3[56]") as busy:
        await endpoint.read([PROMPT])
    assert len(server.completions) == 1
    assert busy.value.retry_after == pytest.approx(3600, abs=5)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("3", 3.0),
        ("0.5", 0.5),
        ("-1", 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 99 Oct 9999 07:28:00 GMT", None),
    ],
)
def test_what_a_header_asks_for(header: str | None, seconds: float | None) -> None:
    assert asked_to_wait(header) == seconds


async def test_a_server_that_never_answered_is_not_waited_for_long(waits: list[float]) -> None:
    """Guards who mistyped an address: a full patience is for servers that were there."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    endpoint = connect("base", EndpointConfig(base_url=url))
    with pytest.raises(EndpointUnreachable):
        await endpoint.card()
    assert sum(waits[:-1]) < 1.0
    await endpoint.aclose()


@pytest.mark.parametrize("resets", [True, False], ids=["reset", "cut"])
async def test_an_answer_that_breaks_off_is_asked_for_again(resets: bool) -> None:
    """Guards judges: whatever is not streamed can be asked as a whole once more."""
    asked = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        if asked > 2:
            return web.json_response({"whole": True})
        response = web.StreamResponse(headers={"Content-Length": "100"} if resets else {})
        await response.prepare(request)
        await response.write(b'{"whole": [1,')
        if resets and request.transport is not None:
            request.transport.close()
        return response

    async with serving(answer) as url:
        http = Http("base", EndpointConfig(base_url=url))
        assert await http.post("/", {}) == {"whole": True}
        await http.aclose()


@pytest.mark.parametrize(
    ("headers", "body", "error"),
    [
        ({"Content-Encoding": "gzip"}, b"no gzip", TruncatedResponse),
        ({"Content-Type": "application/json; charset=rot13"}, b"{", EndpointError),
        ({}, b"[" * 100_000, EndpointError),
        ({}, b"9" * 10_000, EndpointError),
    ],
    ids=["no gzip", "charset", "deep", "a long number"],
)
async def test_odd_bodies_are_typed_errors(headers: dict[str, str], body: bytes, error: type[EndpointError]) -> None:
    """Guards callers: no exception of a library reaches them."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers)

    async with serving(answer) as url:
        http = Http("base", EndpointConfig(base_url=url, patience=0))
        with pytest.raises(error, match=url):
            await http.get("/")
        await http.aclose()


@pytest.mark.parametrize("streams", [True, False])
async def test_bytes_that_drip_for_ever_are_silence(streams: bool) -> None:
    """Guards runs against servers, and routers that keep a stream alive, of which nothing comes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(1000):
            await response.write(b": ping\n\n" if streams else b" ")
            await asyncio.sleep(0.02)
        return response

    async with serving(answer) as url:
        http = Http("base", EndpointConfig(base_url=url, timeout=0.2))
        with pytest.raises(EndpointTimeout):
            await (anext(http.events("/", {})) if streams else http.post("/", {}))
        await http.aclose()


def test_less_is_waited_for_a_draft_whose_steps_base_can_write() -> None:
    server = EndpointConfig(base_url="http://a")
    assert patience_with("draft", server) < patience_with("base", server)
    own = server.model_copy(update={"patience": 7.0})
    assert patience_with("draft", own) == patience_with("base", own) == 7.0


def test_the_environment_sets_the_patience_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("BASE_URL", "http://a"), ("DRAFT_URL", "http://b"), ("PATIENCE", "3.5")):
        monkeypatch.setenv(f"SPECREASON_{name}", value)
    pair = Environment().configured()["default"]
    assert (pair.base.patience, pair.draft.patience) == (3.5, 3.5)
