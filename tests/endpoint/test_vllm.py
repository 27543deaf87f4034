"""What the vLLM client makes of failing servers: every way of failing has an error of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import (
    ConfigError,
    ContextOverflow,
    EndpointError,
    EndpointFailed,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    MalformedResponse,
    NoLogprobs,
    TruncatedResponse,
)
from specreason_graph.endpoint.failures import told_failures
from specreason_graph.endpoint.protocol import End, Sampling, Token
from specreason_graph.endpoint.vllm import VllmEndpoint
from specreason_graph.testing import Fault, Script, ScriptedServer

PROMPT = [5, 6, 7]
GREEDY = Sampling(temperature=0.0, top_p=1.0, seed=11)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with ScriptedServer(Script(["One cow.", "Two cows."]), context=100) as it:
        yield it


@pytest.fixture
async def endpoint(server: ScriptedServer) -> AsyncIterator[VllmEndpoint]:
    it = VllmEndpoint("base", server.config.model_copy(update={"timeout": 30.0, "patience": 2.0}))
    yield it
    await it.aclose()


async def generated(endpoint: VllmEndpoint, prompt: list[int] = PROMPT, max_tokens: int = 50) -> list[Token | End]:
    async with aclosing(endpoint.generate(prompt, max_tokens=max_tokens, sampling=GREEDY)) as stream:
        return [said async for said in stream]


async def test_a_full_queue_is_tried_again(server: ScriptedServer, endpoint: VllmEndpoint) -> None:
    """Guards busy servers: 503 is waited out, and nothing else is."""
    server.fail(Fault("status", status=503), times=2)
    assert (await endpoint.read([PROMPT])).items
    assert len(server.completions) == 3
    server.fail(Fault("status", status=500))
    with pytest.raises(EndpointFailed) as failed:
        await endpoint.read([PROMPT])
    assert failed.value.status == 500
    assert len(server.completions) == 4


async def test_a_queue_that_stays_full_is_an_error(server: ScriptedServer, endpoint: VllmEndpoint) -> None:
    """Guards against retrying for ever."""
    server.fail(Fault("status", status=503), times=None)
    with pytest.raises(EndpointFailed) as failed:
        await endpoint.read([PROMPT])
    assert failed.value.status == 503


async def test_a_connection_dropped_before_the_answer_is_tried_again(
    server: ScriptedServer, endpoint: VllmEndpoint
) -> None:
    """Guards idle connections, which a server may close while a request is on its way."""
    server.fail(Fault("close"))
    assert isinstance((await generated(endpoint))[-1], End)
    assert len(server.completions) == 2


@pytest.mark.parametrize("after", [None, 2])
async def test_silence_is_a_timeout(server: ScriptedServer, after: int | None) -> None:
    """Guards hanging servers, before the headers and inside a stream; the server is let go of."""
    endpoint = VllmEndpoint("base", server.config.model_copy(update={"timeout": 0.7}))
    server.fail(Fault("hang", after=after))
    with pytest.raises(EndpointTimeout, match="raise the endpoint's timeout"):
        await generated(endpoint)
    async with asyncio.timeout(30):
        await server.idle()
    assert server.completions[0].aborted
    await endpoint.aclose()


@pytest.mark.parametrize("kind", ["close", "end", "malformed"])
async def test_a_stream_that_breaks_off_is_truncated(server: ScriptedServer, endpoint: VllmEndpoint, kind: str) -> None:
    """Guards against half a step taken for a whole one."""
    server.fail(Fault(kind, after=2))  # type: ignore[arg-type]
    with pytest.raises(TruncatedResponse):
        await generated(endpoint)


async def test_an_error_inside_a_stream_is_raised(server: ScriptedServer, endpoint: VllmEndpoint) -> None:
    """Guards engines that die while they write: vLLM tells it in an event of a stream that began with 200."""
    server.fail(Fault("status", status=500, after=2))
    with pytest.raises(EndpointFailed, match="told to fail"):
        await generated(endpoint)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions"])
async def test_what_is_not_json_is_malformed(server: ScriptedServer, endpoint: VllmEndpoint, path: str) -> None:
    """Guards proxies' own pages."""
    server.fail(Fault("malformed"), path=path)
    with pytest.raises(MalformedResponse, match="not JSON"):
        await endpoint.read([PROMPT])


async def test_missing_logprobs_are_told(server: ScriptedServer, endpoint: VllmEndpoint) -> None:
    """Guards ids: they come with the log-probabilities, and a step without ids is no step."""
    server.fail(Fault("no_logprobs"), times=2)
    with pytest.raises(NoLogprobs):
        await generated(endpoint)
    with pytest.raises(NoLogprobs):
        await endpoint.read([PROMPT])


async def test_tokens_without_ids_are_malformed(server: ScriptedServer, endpoint: VllmEndpoint) -> None:
    """Guards ids: a server that ignores the field answers 200 with texts."""
    server.fail(Fault("no_token_ids"), times=2)
    with pytest.raises(MalformedResponse, match="return_tokens_as_token_ids"):
        await generated(endpoint)
    with pytest.raises(MalformedResponse, match="return_tokens_as_token_ids"):
        await endpoint.read([PROMPT])


async def test_nobody_at_the_address_is_unreachable() -> None:
    """Guards wrong addresses: the message names role and address."""
    async with ScriptedServer(Script(["A."])) as stopped:
        config = stopped.config
    endpoint = VllmEndpoint("draft", config)
    with pytest.raises(EndpointUnreachable, match=f"draft endpoint {stopped.url}"):
        await endpoint.card()
    await endpoint.aclose()


async def test_a_host_that_takes_no_connection_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards machines that are off: they refuse nothing, so each try would take as long as the client waits."""
    monkeypatch.setattr("specreason_graph.endpoint.sessions.CONNECT", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        endpoint = VllmEndpoint("base", EndpointConfig(base_url=f"http://127.0.0.1:{full.getsockname()[1]}"))
        tries: list[EndpointError] = []
        told_failures.set(tries.append)
        with pytest.raises(EndpointUnreachable, match=r"within 0\.2 s"):
            await endpoint.card()
        assert len(tries) == 1
        await endpoint.aclose()
        for client in waiting:
            client.close()


async def test_a_model_that_is_not_served_is_a_config_error(server: ScriptedServer) -> None:
    """Guards typos: the message says what is served."""
    endpoint = VllmEndpoint("base", EndpointConfig(base_url=server.url, model="other"))
    with pytest.raises(ConfigError, match="serves scripted, not model 'other'"):
        await endpoint.card()
    await endpoint.aclose()


async def test_a_routers_list_of_models_need_not_say_the_context(
    server: ScriptedServer, endpoint: VllmEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards production-stack's router, whose list has names only."""
    listed = {"object": "list", "data": [{"id": "scripted"}]}
    monkeypatch.setattr("specreason_graph.testing.completions.Completions.models", listed)
    assert (await endpoint.card()).context == 100


async def test_more_logprobs_than_the_server_gives_are_refused(endpoint: VllmEndpoint) -> None:
    """Guards against fewer log-probabilities than asked for."""
    with pytest.raises(EndpointRefused, match="greater than max allowed"):
        await endpoint.read([PROMPT], top=21)


@pytest.mark.parametrize(
    ("prompt", "max_tokens"), [([5] * 101, 1), ([5] * 100, 1), (PROMPT, 101)], ids=["beyond", "full", "cap"]
)
async def test_every_way_of_not_fitting_is_an_overflow(
    endpoint: VllmEndpoint, prompt: list[int], max_tokens: int
) -> None:
    """Guards the end of the context: vLLM has another wording for each."""
    with pytest.raises(ContextOverflow):
        await generated(endpoint, prompt, max_tokens)


async def test_the_last_room_is_used(endpoint: VllmEndpoint) -> None:
    """Guards the end of the context from the other side: vLLM clamps, and says "length"."""
    *tokens, end = await generated(endpoint, [5] * 98, 50)
    assert isinstance(end, End)
    assert (end.why, len(tokens)) == ("length", 2)


async def test_views_for_runs_share_what_is_known_and_connected(server: ScriptedServer, endpoint: VllmEndpoint) -> None:
    """Guards the number of requests: a run has a view of its own at every node."""
    for session in ("one", "other"):
        await endpoint.pinned(session).read([PROMPT])
    assert [record.path for record in server.requests] == ["/v1/models", "/v1/completions", "/v1/completions"]
    assert [record.session for record in server.completions] == ["one", "other"]
    assert server.connections == 1


async def test_the_seed_is_sent(server: ScriptedServer, endpoint: VllmEndpoint) -> None:
    """Guards reproducible sampling."""
    await generated(endpoint)
    assert server.completions[0].seed == 11


async def test_a_stream_read_to_its_end_keeps_its_connection(server: ScriptedServer, endpoint: VllmEndpoint) -> None:
    """Guards latency: every step would begin with a new connection, and with TLS a handshake."""
    await generated(endpoint)  # which looks up what it does not know beside the stream, on a second connection
    before = server.connections
    for _ in range(5):
        await generated(endpoint)
    assert server.connections == before <= 2
