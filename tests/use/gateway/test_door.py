"""What clients can do to a gateway before it knows them, and by sending too much: nothing."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio

from specreason_graph.use.gateway import Limits
from specreason_graph.use.gateway.messages import Message, check_order
from specreason_graph.use.gateway.refusal import Refusal
from specreason_graph.use.gateway.request import ChatRequest, read

from .served import BASE, DRAFT, KEY, Served, asking, served, slow, until
from .test_jobs import idle

POST = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
KEYED = f"{POST}Authorization: Bearer {KEY}\r\n"


class Raw:
    """A connection that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, text: str | bytes) -> None:
        self.writer.write(text if isinstance(text, bytes) else text.encode())

    async def status(self) -> int:
        """Of the next reply."""
        async with asyncio.timeout(30):
            line = await self.reader.readline()
        return int(line.split()[1])

    async def closed(self) -> bool:
        """Whether the gateway ends it, within half a minute."""
        try:
            async with asyncio.timeout(30):
                return await self.reader.read() == b""
        except ConnectionError:
            return True


Connect = Callable[[Served], Awaitable[Raw]]


@pytest_asyncio.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens connections, which are closed when the test is over."""
    opened: list[Raw] = []

    async def to(it: Served) -> Raw:
        opened.append(Raw(*await asyncio.open_connection("127.0.0.1", int(it.url.rpartition(":")[2]))))
        return opened[-1]

    yield to
    for raw in opened:
        raw.writer.close()
        with suppress(ConnectionError):
            await raw.writer.wait_closed()


def whole(**changes: Any) -> bytes:
    body = json.dumps(asking(**changes)).encode()
    return f"{KEYED}Content-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("length", ["Content-Length: 300000000", "Transfer-Encoding: chunked", "Expect: 100-continue"])
async def test_without_a_key_no_body_is_waited_for(length: str, connect: Connect) -> None:
    """Guards memory: of 300 MB that nobody may send, not one is read before the answer."""
    async with served() as it:
        raw = await connect(it)
        raw.say(f"{POST}{length}\r\n\r\n")
        assert await raw.status() == 401


@pytest.mark.parametrize("target", ["*", "runs", "http://other/health", "//", "/runs/../v1/models"])
@pytest.mark.parametrize("seen", [0, 5])
async def test_a_target_that_is_no_path_needs_the_key_like_any_other(target: str, seen: int, connect: Connect) -> None:
    """Guards the log against tracebacks that anybody could have written."""
    async with served(seen=seen) as it:
        raw = await connect(it)
        raw.say(f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await raw.status() == 401


async def test_a_body_above_the_limit_is_refused_by_its_length_and_by_what_comes(connect: Connect) -> None:
    async with served(limits=Limits(body_bytes=1000)) as it, it.http as http:
        raw = await connect(it)
        raw.say(f"{KEYED}Content-Length: 1001\r\n\r\n")
        assert await raw.status() == 413
        chunked = await connect(it)
        chunked.say(f"{KEYED}Transfer-Encoding: chunked\r\n\r\n" + f"400\r\n{' ' * 1024}\r\n")
        assert await chunked.status() == 413
        reply = await http.post("/v1/chat/completions", json=asking(user="x" * 1000))
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "body_too_large")
        assert "--body-limit" in reply.json()["error"]["message"]
        assert (await http.post("/v1/chat/completions", json=asking())).status_code == 200


@pytest.mark.parametrize("said", ["", "GET /health HTT", f"{KEYED}Content-Length: 10\r\n\r\n{{", f"{POST}X: y"])
async def test_a_head_or_a_body_that_does_not_come_is_not_waited_for(said: str, connect: Connect) -> None:
    async with served(limits=Limits(head_seconds=0.3, body_seconds=0.3)) as it:
        raw = await connect(it)
        raw.say(said)
        assert await raw.closed()
        await until(lambda: not it.server.server_state.connections)


async def test_a_second_request_that_stays_half_is_not_waited_for_either(connect: Connect) -> None:
    async with served(limits=Limits(head_seconds=1.0)) as it:
        raw = await connect(it)
        raw.say("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await raw.status() == 200
        raw.say("GET /health HTTP/1.1\r\n")
        async with asyncio.timeout(30):
            await raw.reader.read()


async def test_a_client_that_reads_nothing_of_its_reply_is_not_waited_for(connect: Connect) -> None:
    async with served(limits=Limits(body_seconds=0.2)) as it:
        raw = await connect(it)
        raw.say("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await raw.status() == 200
        [connection] = it.server.server_state.connections
        connection.pause_writing()  # as when all buffers up to the client are full
        async with asyncio.timeout(30):
            with suppress(ConnectionError):
                await raw.reader.read()
        await until(lambda: not it.server.server_state.connections)


@pytest.mark.parametrize(
    "said", ["", POST, f"{POST}Content-Length: 1000\r\n\r\n", "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"]
)
async def test_at_the_bound_silent_connections_make_room_and_lock_nobody_out(said: str, connect: Connect) -> None:
    """Half a head, a body that nobody reads since there was no key, or nothing more behind a reply."""
    async with served(limits=Limits(connections=4)) as it, it.http as http:
        held = [await connect(it) for _ in range(12)]
        for raw in held:
            raw.say(said)
        await asyncio.sleep(0.05)
        assert (await http.get("/health")).status_code == 200
        assert len(it.server.server_state.connections) <= 4


def test_connections_and_those_that_wait_for_one_leave_files_to_open() -> None:
    """Guards the log: asyncio takes a whole backlog before it looks at one, with a line for each that is too many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, hard))
    try:
        limits = Limits()
        assert (limits.most_connections, limits.backlog) == (200, 50)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert Limits(connections=7).most_connections == 7


async def test_where_all_connections_have_asked_another_is_told_so(connect: Connect) -> None:
    async with served(slow(BASE, 0.5), DRAFT, limits=Limits(connections=2)) as it:
        held = [await connect(it) for _ in range(2)]
        for raw in held:
            raw.say(whole())
        await until(lambda: it.gateway.jobs.running == 2)
        assert await (await connect(it)).status() == 503
        for raw in held:
            raw.writer.close()
        await idle(it)


@pytest.mark.parametrize("stream", [False, True])
async def test_pipelined_requests_run_for_nobody_when_the_client_has_left(stream: bool, connect: Connect) -> None:
    """Guards GPUs: thirty requests in one packet, and the client is gone."""
    async with served(slow(BASE, 0.5), DRAFT) as it:
        raw = await connect(it)
        raw.say(whole(stream=stream) * 30)
        await until(lambda: it.servers.base.running)
        assert (it.gateway.jobs.running, it.gateway.jobs.waiting) == (1, 0)
        raw.writer.close()
        await idle(it)
        await asyncio.sleep(0.1)
        assert not it.gateway.jobs.running


async def test_the_first_of_several_requests_is_answered_and_the_connection_closed(connect: Connect) -> None:
    async with served() as it:
        raw = await connect(it)
        raw.say(whole() * 2)
        async with asyncio.timeout(30):
            replies = await raw.reader.read()
    assert replies.count(b"HTTP/1.1 200 OK") == 1


def refused(**changes: Any) -> str:
    return refused_text(json.dumps(asking(**changes)).encode())


def refused_text(body: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        read(body)
    return str(caught.value)


def test_what_is_much_too_much_is_refused_in_time_that_grows_with_its_length_alone() -> None:
    """Guards the loop that everybody shares; each of these took minutes, or its refusal had megabytes."""
    texts = [f"s{number}" for number in range(60_000)]
    assert "at most 4" in refused(stop=texts)
    assert "stop" in refused(stop=[[text] for text in texts[:1000]])
    assert "at most" in refused(specreason=dict.fromkeys(texts, 1))
    large = {"type": "json_schema", "json_schema": {"schema": {"enum": texts}}}
    assert "120000 characters" in refused(response_format=large)
    assert "120000 characters" in refused(specreason={"answer_schema": {"enum": texts}})
    tool = {"type": "function", "function": {"name": "f", "description": "x" * 130_000}}
    assert "120000 characters" in refused(specreason={"tools": [tool]})
    assert "128 at most" in refused(specreason={"tools": [{}] * 129})
    assert len(refused(messages=[{"role": "nobody"}] * 50_000)) < 1000
    assert "recursion" in refused_text(b'{"model": "m", "x": ' + b"[" * 100_000)
    calls = [{"id": text, "type": "function", "function": {"name": "f", "arguments": "{}"}} for text in texts[:20_000]]
    assert "s0" in refused(messages=[{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": calls}])
    results = [{"role": "tool", "tool_call_id": text, "content": "x"} for text in texts[:20_000]]
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": calls}, *results]
    assert len(check_order([Message.model_validate(message) for message in messages])) == 20_002


async def test_others_are_answered_while_a_large_request_is_read() -> None:
    """Thousands of messages are looked at beside the loop."""
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}] * 10_000
    large = asking(messages=messages, stop=list("abcde"))
    async with served() as it, it.http as http:
        asked = asyncio.create_task(http.post("/v1/chat/completions", json=large))
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            assert (await http.get("/health")).status_code == 200
        assert (await asked).status_code == 400


async def test_more_messages_than_tokens_are_refused_before_any_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards everybody else: a message is the work of many tokens, and 60,000 of them held the loop for seconds."""
    monkeypatch.setattr(ChatRequest, "chat", None)
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in range(3000)]
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": "x"} for n in range(3000)]
    async with served() as it, it.http as http:
        for messages in (
            [{"role": "user", "content": "x"}] * 5000,
            [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": calls}, *results],
        ):
            no = await http.post("/v1/chat/completions", json=asking(messages=messages))
            assert (no.status_code, no.json()["error"]["code"]) == (400, "context_length_exceeded")
