"""One of several servers breaks, hangs or is off: what was asked of it goes on at the next one, and waits once."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack, aclosing

import pytest

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import EndpointError, EndpointUnreachable
from specreason_graph.endpoint import connect
from specreason_graph.endpoint.failures import told_failures
from specreason_graph.endpoint.protocol import End
from specreason_graph.testing import Fault, Pace, Script, ScriptedServer

from .several import GREEDY, PROMPT, asked, generated, one_of, running, some, stopped


async def test_a_stream_that_breaks_goes_on_at_the_next_server() -> None:
    """What was told of a step stays told; the run keeps to the server that has read it."""
    first, second, plain = some(3)
    async with running(first, second) as endpoint, running(plain) as unbroken:
        first.fail(Fault("end", after=2))
        *tokens, end = await generated(endpoint)
        assert tokens == (await generated(unbroken))[:-1]
        assert isinstance(end, End)
        assert end.usage.prompt_tokens == len(PROMPT) + len(PROMPT) + 2
        assert (len(first.completions), len(second.completions)) == (1, 1)
        assert await asked(endpoint, [first, second]) is second
        await stopped(second)
        assert isinstance((await generated(endpoint))[-1], End)


@pytest.mark.parametrize("after", [None, 3], ids=["at once", "in mid-stream"])
async def test_a_server_that_hangs_costs_one_timeout(after: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards all runs, of whatever session: a second one, and a hundredth, must not wait as long again."""
    monkeypatch.setattr("specreason_graph.endpoint.sessions.CONNECT", 0.3)
    first, second = some(2)
    async with AsyncExitStack() as stack:
        for server in (first, second):
            await stack.enter_async_context(server)
            server.fail(Fault("hang"), path="/v1/models", times=0)
        endpoint = connect("base", one_of([first, second]).model_copy(update={"timeout": 0.7}))
        stack.push_async_callback(endpoint.aclose)
        await endpoint.card()
        first.fail(Fault("hang", after=after))
        first.fail(Fault("hang"), path=None, times=None)
        for session in map(str, range(20)):
            assert isinstance((await generated(endpoint if session == "0" else endpoint.pinned(session)))[-1], End)
        assert len(first.completions) == 1


async def test_closing_a_stream_stops_the_server() -> None:
    slow, other = ScriptedServer(Script(["One cow."]), pace=Pace(seconds_per_token=0.3)), *some(1)
    async with running(slow, other) as endpoint:
        async with aclosing(endpoint.generate(PROMPT, max_tokens=50, sampling=GREEDY)) as stream:
            await anext(stream)
        await slow.idle()
        assert slow.completions[0].aborted


async def test_with_all_of_them_gone_the_error_names_each() -> None:
    first, second = some(2)
    async with running(first, second) as endpoint:
        await stopped(first)
        await stopped(second)
        with pytest.raises(EndpointUnreachable, match=rf"{first.url} can't be reached.*{second.url} can't be reached"):
            await endpoint.card()


async def test_a_machine_that_is_off_costs_one_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards runs in every session: it refuses nothing, so each request would take as long as the client waits."""
    monkeypatch.setattr("specreason_graph.endpoint.sessions.CONNECT", 0.5)
    (up,) = some(1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        async with up:
            off = f"http://127.0.0.1:{full.getsockname()[1]}"
            endpoint = connect("base", EndpointConfig(base_url=off, replicas=(up.url,)))
            tries: list[EndpointError] = []
            told_failures.set(tries.append)
            await asyncio.gather(*(generated(endpoint.pinned(str(session))) for session in range(20)))
            together = len(tries)
            for session in map(str, range(20)):
                assert isinstance((await generated(endpoint.pinned(session)))[-1], End)
            assert 0 < together == len(tries)
            await endpoint.aclose()
        for client in waiting:
            client.close()
