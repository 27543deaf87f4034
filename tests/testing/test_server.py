"""The server must answer as vLLM 0.32 does, or the client is tested against a dream."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from specreason_graph.testing import Script, ScriptedServer

from .conftest import Client

STEPS = Script(["One cow.", "Two cows:", "Three."])


async def test_the_model_and_the_version_are_told(client: Client) -> None:
    """Guards start-up checks: name, context, version and health."""
    async with ScriptedServer(STEPS, model="m", context=99) as server:
        (card,) = (await client.get(server, "/v1/models"))["data"]
        assert (card["id"], card["max_model_len"]) == ("m", 99)
        assert await client.get(server, "/version") == {"version": "0.32.0"}
        async with client.session.get(f"{server.url}/health") as response:
            assert (response.status, await response.text()) == (200, "")


async def test_texts_become_ids_and_back(client: Client) -> None:
    """Guards `/tokenize` and `/detokenize`, BOS and control tokens included."""
    async with ScriptedServer(STEPS, bos=True) as server:
        _, bare = await client.post(server, "/tokenize", prompt="So 1<think>", add_special_tokens=False)
        assert bare == {"count": 4, "max_model_len": 4096, "tokens": bare["tokens"], "token_strs": None}
        _, told = await client.post(server, "/tokenize", prompt="So 1<think>", return_token_strs=True)
        assert told["token_strs"] == ["<|bos|>", "So", "Ġ", "1", "<think>"]
        _, back = await client.post(server, "/detokenize", tokens=told["tokens"])
        assert back == {"prompt": "<|bos|>So 1<think>"}


@pytest.mark.parametrize(
    ("template", "variables", "ending"),
    [
        ("instruct", {}, "assistant\n"),
        ("think", {}, "assistant\n<think>\n"),
        ("qwen3", {}, "assistant\n"),
        ("qwen3", {"enable_thinking": False}, "assistant\n<think>\n\n</think>\n\n"),
    ],
)
async def test_templates_open_the_turn_differently(
    client: Client, template: str, variables: dict[str, bool], ending: str
) -> None:
    """Guards the three openings that a client has to tell apart, and lost think blocks of earlier turns."""
    messages = [
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "<think>\nhm</think>\n\nA"},
        {"role": "user", "content": "R"},
    ]
    async with ScriptedServer(STEPS, template=template) as server:  # type: ignore[arg-type]
        body = {"messages": messages, "add_generation_prompt": True, "chat_template_kwargs": variables}
        _, answer = await client.post(server, "/tokenize", **body)
        text = server.model.tokenizer.spell(answer["tokens"]).decode()
    earlier = messages[1]["content"] if template == "instruct" else "A"
    assert text == (
        "<|im_start|>user\nQ<|im_end|>\n"
        f"<|im_start|>assistant\n{earlier}<|im_end|>\n"
        f"<|im_start|>user\nR<|im_end|>\n<|im_start|>{ending}"
    )


async def test_unknown_fields_are_ignored(client: Client) -> None:
    """Guards the trap: vLLM answers 200 to a misspelt field, so only effects prove anything."""
    async with ScriptedServer(STEPS) as server:
        assert await client.complete(server, [5], logprob=20, min_tokens=3)


async def test_unknown_models_and_paths_are_not_found(client: Client) -> None:
    """Guards typos in names."""
    async with ScriptedServer(STEPS, model="m") as server:
        status, answer = await client.post(server, "/v1/completions", prompt=[5], model="n")
        assert (status, answer["error"]["type"]) == (404, "NotFoundError")
        assert answer["error"]["message"] == "The model `n` does not exist. Valid aliases: m."
        assert (await client.post(server, "/v1/nothing"))[0] == 404


async def test_a_key_is_needed_under_v1_only(client: Client) -> None:
    """Guards keys: vLLM leaves `/tokenize` open, and answers 401 in a shape of its own."""
    async with ScriptedServer(STEPS, api_key="secret") as server:
        assert await client.post(server, "/v1/completions", prompt=[5]) == (401, {"error": "Unauthorized"})
        assert (await client.post(server, "/tokenize", prompt="So"))[0] == 200
        headers = {"Authorization": "Bearer secret"}
        async with aiohttp.ClientSession(headers=headers) as session:
            assert await Client(session).complete(server, [5])


async def test_requests_are_recorded(client: Client) -> None:
    """Guards tests that look at prompts, seeds and counts."""
    async with ScriptedServer(STEPS) as server:
        await client.complete(server, [[5], [6]], seed=3, max_tokens=2)
    (record,) = server.completions
    assert (record.prompts, record.seed, record.tokens) == ([[5], [6]], 3, 4)
    assert (record.complete, record.aborted, server.running) == (True, False, 0)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_closed_connection_stops_the_generation(client: Client, stream: bool) -> None:
    """Guards cuts: nothing goes on being generated for a client that left, streamed or not."""
    endless = Script(lambda transcript: "cow " * 100_000)
    async with ScriptedServer(endless, context=1_000_000) as server:
        body = {"prompt": await client.opening(server), "max_tokens": 100_000, "stream": stream}

        async def ask() -> None:
            async with client.session.post(f"{server.url}/v1/completions", json=body) as response:
                await response.read()

        asking = asyncio.create_task(ask())
        async with asyncio.timeout(30):
            while not (server.completions and server.completions[0].tokens):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.001)
        assert server.running == 1
        asking.cancel()
        await asyncio.wait({asking})
        async with asyncio.timeout(30):
            await server.idle()
        (record,) = server.completions
        assert (record.aborted, record.complete, server.running) == (True, False, 0)
        assert 0 < record.tokens < 100_000


async def test_requests_are_served_side_by_side(client: Client) -> None:
    """Guards overlap: many streams at once say the same as one alone."""
    async with ScriptedServer(STEPS) as server:
        prompt = await client.opening(server)
        alone = (await client.complete(server, prompt))["choices"]
        together = await asyncio.gather(*(client.complete(server, prompt) for _ in range(20)))
        assert all(answer["choices"] == alone for answer in together)
