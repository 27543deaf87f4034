"""Planned faults must look as they do on the wire, strike when they were told to, and then be over."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from specreason_graph.testing import Fault, Script, ScriptedServer

from .conftest import Client

STEPS = Script(["One cow.", "Two cows."])
PROMPT = [5, 6, 7]


async def test_a_status_is_answered_as_often_as_planned(client: Client) -> None:
    """Guards retry tests: two refusals, then service."""
    async with ScriptedServer(STEPS) as server:
        server.fail(Fault("status", status=503), times=2)
        answers = [await client.post(server, "/v1/completions", prompt=PROMPT) for _ in range(3)]
        assert [status for status, _ in answers] == [503, 503, 200]
        assert answers[0][1]["error"]["code"] == 503


async def test_faults_of_one_path_leave_others_alone(client: Client) -> None:
    """Guards aim: a fault waits for its path, and `None` is any."""
    async with ScriptedServer(STEPS) as server:
        server.fail(Fault("status", status=500), path="/tokenize")
        assert (await client.post(server, "/v1/completions", prompt=PROMPT))[0] == 200
        assert (await client.post(server, "/tokenize", prompt="a"))[0] == 500
        server.fail(Fault("status", status=500), path=None, times=None)
        assert [(await client.post(server, path))[0] for path in ("/tokenize", "/detokenize")] == [500, 500]


async def test_a_dropped_connection_has_no_answer(client: Client) -> None:
    """Guards tests of servers that die: before the headers there is nothing, in a stream a broken body."""
    async with ScriptedServer(STEPS) as server:
        server.fail(Fault("close"))
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.post(server, "/v1/completions", prompt=PROMPT)
        server.fail(Fault("close", after=2))
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.events(server, PROMPT)


@pytest.mark.parametrize("after", [None, 1])
async def test_a_hanging_server_keeps_the_connection(client: Client, after: int | None) -> None:
    """Guards timeout tests: no bytes come, and the client that leaves is noticed."""
    async with ScriptedServer(STEPS) as server:
        server.fail(Fault("hang", after=after))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.events(server, PROMPT)
        async with asyncio.timeout(30):
            await server.idle()


async def test_malformed_answers_are_not_json(client: Client) -> None:
    """Guards tests of proxies that answer in the server's place."""
    async with ScriptedServer(STEPS) as server:
        server.fail(Fault("malformed"))
        async with client.session.post(f"{server.url}/v1/completions", json={"prompt": PROMPT}) as response:
            assert (response.status, (await response.text())[:6]) == (200, "<html>")
        server.fail(Fault("malformed", after=1))
        with pytest.raises(ValueError, match="Expecting"):
            [json.loads(event) for event in await client.events(server, PROMPT)]


async def test_a_stream_may_end_early(client: Client) -> None:
    """Guards tests of truncated streams: in good order for HTTP, but without its last events."""
    async with ScriptedServer(STEPS) as server:
        server.fail(Fault("end", after=2))
        events = [json.loads(event) for event in await client.events(server, PROMPT)]
        assert [event["choices"][0]["finish_reason"] for event in events] == [None, None]


async def test_a_stream_may_end_with_an_error_event(client: Client) -> None:
    """Guards tests of engines that die while they write."""
    async with ScriptedServer(STEPS) as server:
        server.fail(Fault("status", status=500, after=1))
        *_, last = await client.events(server, PROMPT)
        assert json.loads(last)["error"]["code"] == 500


async def test_fields_may_be_ignored(client: Client) -> None:
    """Guards tests of servers and proxies that drop log-probabilities or token ids."""
    async with ScriptedServer(STEPS) as server:
        body = {"logprobs": 1, "return_tokens_as_token_ids": True}
        server.fail(Fault("no_logprobs"))
        assert (await client.complete(server, PROMPT, **body))["choices"][0]["logprobs"] is None
        server.fail(Fault("no_token_ids"))
        tokens = (await client.complete(server, PROMPT, **body))["choices"][0]["logprobs"]["tokens"]
        assert not any(token.startswith("token_id:") for token in tokens)
