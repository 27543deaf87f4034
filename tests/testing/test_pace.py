"""A paced server must keep its pace: benchmarks stand on it. Orders of magnitude only, since test machines vary."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from specreason_graph.testing import Pace, Script, ScriptedServer

from .conftest import Client

COWS = Script(["cow " * 200])


async def took(asked: Awaitable[object]) -> float:
    """What it takes."""
    began = time.perf_counter()
    await asked
    return time.perf_counter() - began


async def test_tokens_come_at_their_pace(client: Client) -> None:
    """Guards the absolute schedule: sleeps that wake up late must not add up over many short intervals."""
    async with ScriptedServer(COWS, pace=Pace(ttft=0.02, seconds_per_token=0.0001)) as server:
        prompt = await client.opening(server)
        seconds = []
        for _ in range(3):  # the best of three: a machine that is busy for a moment tells nothing
            began = time.perf_counter()
            await client.complete(server, prompt, max_tokens=501)
            seconds.append(time.perf_counter() - began)
        assert 0.07 <= min(seconds) < 0.4  # 0.52 if each of them took the millisecond of a sleep


async def test_only_uncached_prompt_tokens_cost_time(client: Client) -> None:
    """Guards the price of a judge: the prefill of what is cached is free."""
    async with ScriptedServer(COWS, pace=Pace(prompt_tokens_per_second=10_000)) as server:
        prompt = [5] * 1001
        seconds = []
        for _ in range(4):
            began = time.perf_counter()
            await client.complete(server, prompt, max_tokens=1)
            seconds.append(time.perf_counter() - began)
        assert seconds[0] >= 0.1
        assert min(seconds[1:]) < seconds[0] / 2


async def test_prompts_of_one_request_are_decoded_side_by_side(client: Client) -> None:
    """Guards batched reads: several prompts cost their prefill, and the time of the longest answer."""
    async with ScriptedServer(COWS, pace=Pace(seconds_per_token=0.02)) as server:
        prompts = [await client.opening(server, question) for question in ("1?", "2?", "3?")]
        alone = min([await took(client.complete(server, prompts[0], max_tokens=4)) for _ in range(3)])
        together = min([await took(client.complete(server, prompts, max_tokens=4)) for _ in range(3)])
    assert together >= 0.06
    assert together < 2 * alone  # one behind the other would take three times as long


async def test_requests_do_not_wait_for_each_other(client: Client) -> None:
    """Guards concurrency: a pace is that of each request."""
    async with ScriptedServer(COWS, pace=Pace(ttft=0.05)) as server:
        alone = min([await took(client.complete(server, [5], max_tokens=1)) for _ in range(3)])
        eight = [client.complete(server, [5], max_tokens=1) for _ in range(8)]
        assert 0.05 <= await took(asyncio.gather(*eight)) < 8 * alone  # as one behind the other would take


async def test_an_aborted_request_stops_at_its_pace(client: Client) -> None:
    """Guards cuts under pace: only what was due has been generated."""
    async with ScriptedServer(COWS, pace=Pace(seconds_per_token=0.005)) as server:
        body = {"prompt": [5], "max_tokens": 100, "stream": True}
        async with client.session.post(f"{server.url}/v1/completions", json=body) as response:
            await response.content.readuntil(b"\n\n")
        async with asyncio.timeout(30):
            await server.idle()
        [aborted] = server.completions
        assert aborted.ended is not None
        assert 1 <= aborted.tokens <= 2 + (aborted.ended - aborted.began) / 0.005


async def test_reading_a_prompts_likelihood_costs_its_prefill(client: Client) -> None:
    """Guards the price of a judge that reads a step from one prompt: what is cached is free there, too."""
    async with ScriptedServer(COWS, pace=Pace(prompt_tokens_per_second=3_000), scale_out=True) as server:
        asked = {"max_tokens": 1, "prompt_logprobs": 1, "detokenize": False}
        seconds = []
        for _ in range(4):
            began = time.perf_counter()
            body = {"token_ids": [5] * 601, "sampling_params": asked}
            async with client.session.post(f"{server.url}/inference/v1/generate", json=body) as response:
                assert response.status == 200
            seconds.append(time.perf_counter() - began)
        assert seconds[0] >= 0.2
        assert min(seconds[1:]) < seconds[0] / 2
