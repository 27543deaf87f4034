"""Several servers of one model: a session keeps to one of them, and is handed on while that one is busy."""

from __future__ import annotations

import time

import pytest

from specreason_graph.contract.errors import ConfigError, EndpointBusy, EndpointFailed
from specreason_graph.endpoint import connect
from specreason_graph.testing import Fault, Script, ScriptedServer

from .several import FULL, PROMPT, asked, one_of, running, some

AWAY = "specreason_graph.endpoint.replicas._AWAY"


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
