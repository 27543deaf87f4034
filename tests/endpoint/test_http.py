"""Connections: none outlives its event loop, none is beyond the bound, and no request waits for one for ever."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from contextlib import AsyncExitStack, aclosing
from typing import Any

import pytest
from aiohttp import web

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import EndpointError, EndpointFailed, MalformedResponse
from specreason_graph.endpoint import connect
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.vllm import VllmEndpoint
from specreason_graph.testing import Pace, Script, ScriptedServer
from specreason_graph.use.background import wait_for

from .contract import GREEDY, collected
from .fakes import ASKED, serving


@pytest.fixture
def address() -> Any:
    """A scripted server in a thread of its own, for tests that run event loops themselves."""
    started, stop = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with ScriptedServer(Script(["One cow 🙂.", "Two cows."])) as server:
            found.append(server.url)
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    yield found[0]
    stop.set()
    thread.join()


def test_loops_that_ended_leave_nothing_behind(address: str) -> None:
    """Guards synchronous programs, which may begin a loop a question on one endpoint, and never close it."""
    endpoint, loops = VllmEndpoint("base", EndpointConfig(base_url=address)), list[weakref.ref[Any]]()

    async def question() -> str:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        view = endpoint.pinned("run")
        return (await collected(view, await view.render(ASKED, {}))).text

    for _ in range(200):
        assert asyncio.run(question()) == "One cow 🙂.\n\nTwo cows."
    gc.collect()
    assert not endpoint._http._sessions.by_loop
    assert not any(loop() for loop in loops)


async def test_closing_reaches_the_connections_of_another_threads_loop(address: str) -> None:
    """Guards a pair that an agent used without a loop, too: collected in a cycle, an open client warns."""
    endpoint = VllmEndpoint("base", EndpointConfig(base_url=address))
    await endpoint.decode([5])
    await asyncio.to_thread(wait_for, endpoint.decode([5]))
    clients = [session.client for session in endpoint._http._sessions.by_loop.values()]
    assert len(clients) == 2
    await endpoint.aclose()
    async with asyncio.timeout(30):
        while not all(client.closed for client in clients):  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.001)
    assert not endpoint._http._sessions.by_loop
    assert await endpoint.decode([5])
    await endpoint.aclose()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_loops_that_were_only_closed_are_forgotten_by_the_next_one(address: str) -> None:
    """Guards programs that run loops by hand: nothing closes what is open in them."""
    endpoint = VllmEndpoint("base", EndpointConfig(base_url=address))
    for _ in range(5):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(endpoint.decode([5]))
        loop.close()
        del loop
        assert len(endpoint._http._sessions.by_loop) == 1
    asyncio.run(endpoint.decode([5]))
    gc.collect()
    assert not endpoint._http._sessions.by_loop


@pytest.mark.parametrize("tokens_per_event", [1, 5])
async def test_the_pool_is_bounded_and_all_are_answered(tokens_per_event: int) -> None:
    """Guards servers behind a limit of connections; and clients: streams that look something up beside themselves
    must not hold every connection while each waits for one more."""
    async with ScriptedServer(
        Script(["One cow 🙂.", "你好, two cows."]),
        tokens_per_event=tokens_per_event,
        pace=Pace(seconds_per_token=0.0005),
    ) as server:
        endpoint = connect("base", server.config.model_copy(update={"connections": 4}))
        prompt = await endpoint.render(ASKED, {})
        async with asyncio.timeout(30):
            written, _ = await asyncio.gather(
                asyncio.gather(*(collected(endpoint.pinned(str(run)), prompt) for run in range(50))),
                asyncio.gather(*(endpoint.read([prompt]) for _ in range(50))),
            )
        await endpoint.aclose()
        assert server.connections <= 4
    assert {answer.text for answer in written} == {"One cow 🙂.\n\n你好, two cows."}


async def test_streams_leave_a_connection_to_everything_else() -> None:
    """Guards judges: as many open streams as there may be hold up no reading."""
    async with ScriptedServer(Script(["One cow."] * 50)) as server:
        endpoint = connect("base", server.config.model_copy(update={"connections": 4}))
        prompt = await endpoint.render(ASKED, {})
        async with AsyncExitStack() as stack, asyncio.timeout(10):
            for _ in range(3):
                stream = endpoint.generate(prompt, max_tokens=400, sampling=GREEDY)
                await stack.enter_async_context(aclosing(stream))
                await anext(stream)
            waiting = asyncio.create_task(collected(endpoint, prompt, max_tokens=3))
            assert (await endpoint.read([prompt])).items
            assert not waiting.done()
            await stack.aclose()
            assert (await waiting).end.why == "length"
        await endpoint.aclose()


async def test_a_stream_that_is_cancelled_as_it_waits_takes_no_place() -> None:
    """Guards the pool against runs that are stopped before their turn."""
    async with ScriptedServer(Script(["One cow."] * 50)) as server:
        endpoint = connect("base", server.config.model_copy(update={"connections": 4}))
        prompt = await endpoint.render(ASKED, {})
        async with asyncio.timeout(10):
            for _ in range(5):
                runs = [asyncio.create_task(collected(endpoint, prompt, max_tokens=50)) for _ in range(8)]
                await asyncio.sleep(0.005)
                for run in runs:
                    run.cancel()
                await asyncio.gather(*runs, return_exceptions=True)
            assert (await collected(endpoint, prompt, max_tokens=3)).end.why == "length"
        await endpoint.aclose()


@pytest.mark.parametrize(
    ("body", "error", "told"),
    [
        (b"data: " + b"1" * (3 << 20) + b"\n\n", MalformedResponse, "longer than"),
        (b"data: [1]\n\n", MalformedResponse, "no object"),
        (b'data: {"error": "overloaded"}\n\n', EndpointFailed, "overloaded"),
        (b'data: {"error": {"message": "overloaded", "code": 0}}\n\n', EndpointFailed, "overloaded"),
        (b'data: {"error": {"message": "overloaded", "code": "x"}}\n\n', EndpointFailed, "overloaded"),
        (b"data: \xff\n\n", EndpointError, "inside an event"),
    ],
    ids=["long", "list", "text", "code 0", "code x", "bytes"],
)
async def test_odd_events_are_typed_errors(body: bytes, error: type[EndpointError], told: str) -> None:
    """Guards callers: whatever stands in an event, no exception of another library is raised."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type="text/event-stream")

    async with serving(answer) as url:
        http = Http("base", EndpointConfig(base_url=url, patience=0))
        with pytest.raises(error, match=f"base endpoint {url}.*{told}"):
            async for _ in http.events("/v1/completions", {}):
                pass
        await http.aclose()


async def test_events_are_read_around_comments_and_empty_lines() -> None:
    """Guards proxies that keep a stream alive."""
    lines = b': ping\n\nevent: x\ndata: {"a": 1}\r\n\r\ndata: {}\n\ndata:{"a": 2}\n\ndata: [DONE]\n\n'

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=lines, content_type="text/event-stream")

    async with serving(answer) as url:
        http = Http("base", EndpointConfig(base_url=url))
        assert [event async for event in http.events("/", {})] == [{"a": 1}, {}, {"a": 2}]
        await http.aclose()
