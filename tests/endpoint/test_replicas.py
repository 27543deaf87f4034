"""Several servers of one model: a session keeps to one of them, and goes on at the next one when that one is gone."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

import pytest

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import (
    ConfigError,
    EndpointBusy,
    EndpointError,
    EndpointFailed,
    EndpointUnreachable,
)
from specreason_graph.endpoint import Endpoint, connect
from specreason_graph.endpoint.failures import told_failures
from specreason_graph.endpoint.protocol import End, Sampling, Token
from specreason_graph.testing import Fault, Pace, Script, ScriptedServer

PROMPT = [5, 6, 7]
GREEDY = Sampling(temperature=0.0, top_p=1.0, seed=0)
FULL = Fault("status", status=503)
AWAY = "specreason_graph.endpoint.replicas._AWAY"


@asynccontextmanager
async def running(*servers: ScriptedServer, patience: float = 0.0) -> AsyncIterator[Endpoint]:
    """These servers behind one endpoint, tried in this order where no session says another."""
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server)
        endpoint = connect("base", one_of(servers).model_copy(update={"patience": patience}))
        stack.push_async_callback(endpoint.aclose)
        yield endpoint


def one_of(servers: Sequence[ScriptedServer]) -> EndpointConfig:
    return EndpointConfig(base_url=servers[0].url, replicas=tuple(server.url for server in servers[1:]))


def some(count: int) -> list[ScriptedServer]:
    return [ScriptedServer(Script(["One cow."])) for _ in range(count)]


async def stopped(server: ScriptedServer) -> None:
    await server.__aexit__(None, None, None)


async def generated(endpoint: Endpoint) -> list[Token | End]:
    async with aclosing(endpoint.generate(PROMPT, max_tokens=50, sampling=GREEDY)) as stream:
        return [said async for said in stream]


async def asked(endpoint: Endpoint, servers: Sequence[ScriptedServer]) -> ScriptedServer:
    """The server that answers a request."""
    before = [len(server.completions) for server in servers]
    await endpoint.read([PROMPT])
    return next(
        s for s, n in zip(servers, before, strict=True) if len(s.completions) > n and s.completions[-1].complete
    )


async def test_a_session_keeps_to_one_server_and_sessions_spread() -> None:
    servers = some(3)
    async with running(*servers) as endpoint:
        used = set()
        for session in map(str, range(50)):
            first, again = [await asked(endpoint.pinned(session), servers) for _ in range(2)]
            assert first is again
            used.add(first.url)
        assert len(used) == 3


async def test_one_server_more_moves_only_the_sessions_that_it_gets() -> None:
    servers = some(4)
    async with running(*servers) as four:
        three = connect("base", one_of(servers[:3]))
        sessions = [str(number) for number in range(60)]
        before = [await asked(three.pinned(session), servers) for session in sessions]
        after = [await asked(four.pinned(session), servers) for session in sessions]
        assert {new.url for old, new in zip(before, after, strict=True) if new is not old} == {servers[3].url}
        await three.aclose()


async def test_the_order_of_the_addresses_does_not_matter_to_a_session() -> None:
    """Guards resuming on a machine where somebody wrote them in another order."""
    servers = some(3)
    async with running(*servers) as endpoint:
        other = connect("base", one_of(servers[::-1]))
        for session in "abcdef":
            assert await asked(endpoint.pinned(session), servers) is await asked(other.pinned(session), servers)
        await other.aclose()


async def test_a_queue_that_stays_full_hands_over_and_another_failure_does_not() -> None:
    """What breaks one server may be the request, and break every other one too."""
    first, second = some(2)
    async with running(first, second) as endpoint:
        first.fail(FULL)
        assert await asked(endpoint, [first, second]) is second
        second.fail(Fault("status", status=500))
        with pytest.raises(EndpointFailed, match=second.url):
            await endpoint.read([PROMPT])
        assert len(first.completions) == 1


async def test_who_left_a_busy_server_stays_away_for_a_while_and_then_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guards prefix caches: going to and fro has the whole prefix read anew each time."""
    first, second = some(2)
    async with running(first, second) as endpoint:
        first.fail(FULL)
        for _ in range(3):
            assert await asked(endpoint, [first, second]) is second
        assert len(first.completions) == 1
        monkeypatch.setattr(AWAY, 0.0)
        assert await asked(endpoint, [first, second]) is first


async def test_a_server_that_was_never_up_is_not_looked_for_by_those_that_do_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every node of every run asks for the card."""
    monkeypatch.setattr(AWAY, 0.0)
    up, down = some(2)
    async with running(up, down) as endpoint:
        down.fail(FULL, path="/v1/models", times=None)
        for _ in range(3):
            await endpoint.card()
            await endpoint.read([PROMPT])
        assert len(down.requests) == 1


async def test_a_server_that_failed_is_asked_at_once_when_there_is_no_other() -> None:
    """Guards a short outage of all of them: it is over as soon as one is back."""
    first, second = some(2)
    async with running(first, second) as endpoint:
        first.fail(FULL)
        second.fail(FULL)
        with pytest.raises(EndpointBusy, match=rf"{first.url} answered 503.*{second.url} answered 503"):
            await endpoint.read([PROMPT])
        assert await asked(endpoint, [first, second]) is first


async def test_one_busy_answer_moves_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards the other runs' prefix caches, and the next server against all of them at once."""
    servers = some(2)
    async with running(*servers) as endpoint:
        sessions = list(map(str, range(20)))
        before = [await asked(endpoint.pinned(session), servers) for session in sessions]
        busy = before[0]
        busy.fail(FULL)
        assert await asked(endpoint.pinned(sessions[0]), servers) is not busy
        after = [await asked(endpoint.pinned(session), servers) for session in sessions]
        assert [new is old for new, old in zip(after, before, strict=True)] == [False] + [True] * 19
        monkeypatch.setattr(AWAY, 0.0)
        assert await asked(endpoint.pinned(sessions[0]), servers) is busy


async def test_all_busy_is_waited_out() -> None:
    """Guards bursts: patience is for the group, and what one of them asks for is heard."""
    first, second = some(2)
    async with running(first, second, patience=3.0) as endpoint:
        for server in (first, second):
            server.fail(Fault("status", status=429, retry_after="1.2"), times=1)
        began = time.monotonic()
        assert await asked(endpoint, [first, second]) is first
        assert time.monotonic() - began >= 1.2
        assert (len(first.completions), len(second.completions)) == (2, 1)


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


async def test_the_smallest_context_counts() -> None:
    """A run that went over to the smaller server would not fit any more."""
    big, small = (ScriptedServer(Script(["One cow."]), context=context) for context in (2000, 1000))
    async with running(big, small) as endpoint:
        assert (await endpoint.card()).context == 1000


async def test_servers_of_different_models_are_refused() -> None:
    """Each time: it must not depend on the server that a run was given."""
    one, other = (ScriptedServer(Script(["One cow."]), model=model) for model in "ab")
    async with running(one, other) as endpoint:
        for _ in range(2):
            with pytest.raises(ConfigError, match=rf"{other.url} serves b, but base endpoint {one.url} serves a"):
                await endpoint.card()


async def test_a_server_that_comes_up_later_with_another_model_is_asked_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(AWAY, 0.0)
    late, other = (ScriptedServer(Script(["One cow."]), model=model) for model in "ab")
    async with running(late, other) as endpoint:
        late.fail(FULL, path="/v1/models")
        assert (await endpoint.card()).name == "b"
        with pytest.raises(ConfigError, match="serves a"):
            await endpoint.read([PROMPT])
        assert not late.completions


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
