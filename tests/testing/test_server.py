"""The server must answer as vLLM 0.32 does, or the client is tested against a dream."""

from __future__ import annotations

import asyncio
import json
import math

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


async def test_stop_strings_cut_the_text_and_not_the_ids(client: Client) -> None:
    """Guards boundaries inside tokens: the token that completes the stop string stays whole."""
    turn = "One cow\n\n\nTwo."
    async with ScriptedServer(Script(lambda transcript: turn[len(transcript) :]), tokenizer="a") as server:
        kept = (
            await client.complete(
                server,
                await client.opening(server),
                stop=["\n\n"],
                include_stop_str_in_output=True,
                logprobs=0,
                return_tokens_as_token_ids=True,
            )
        )["choices"][0]
        ids = [int(token.removeprefix("token_id:")) for token in kept["logprobs"]["tokens"]]
        assert (kept["text"], kept["finish_reason"], kept["stop_reason"]) == ("One cow\n\n", "stop", "\n\n")
        assert server.model.tokenizer.spell(ids) == b"One cow\n\n\n"
        dropped = await client.complete(server, await client.opening(server), stop="\n\n")
        assert dropped["choices"][0]["text"] == "One cow"


async def test_stop_strings_match_this_requests_text_only(client: Client) -> None:
    """Guards cuts between two newlines: the boundary that the next request completes is not found."""
    async with ScriptedServer(STEPS, tokenizer="b") as server:
        prompt = [*await client.opening(server), *server.model.tokenizer.encode("One cow.\n")]
        choice = (await client.complete(server, prompt, stop=["\n\n"], include_stop_str_in_output=True))["choices"][0]
        assert choice["text"] == "\nTwo cows:\n\n"


async def test_held_back_text_is_what_may_begin_a_stop_string(client: Client) -> None:
    """Guards streams without the stop string: none of it may be shown."""
    async with ScriptedServer(STEPS) as server:
        events = await client.events(server, await client.opening(server), stop=["cows:\n\n"])
        assert "".join(json.loads(event)["choices"][0]["text"] for event in events[:-1]) == "One cow.\n\nTwo "


async def test_stop_ids_and_the_end_of_turn_are_in_the_ids(client: Client) -> None:
    """Guards the three stop reasons: an id for a stop id, null for the end of turn, whose id is given all the same."""
    async with ScriptedServer(Script(["Hm."], answer="7"), template="think") as server:
        close, end = (server.model.tokenizer.id(text) for text in ("</think>", "<|im_end|>"))
        body = {"logprobs": 0, "return_tokens_as_token_ids": True, "include_stop_str_in_output": True}
        prompt = await client.opening(server)
        closed = (await client.complete(server, prompt, stop_token_ids=[close], **body))["choices"][0]
        assert (closed["text"], closed["finish_reason"], closed["stop_reason"]) == ("Hm.</think>", "stop", close)
        assert closed["logprobs"]["tokens"][-1] == f"token_id:{close}"
        ended = (await client.complete(server, prompt, **body))["choices"][0]
        assert (ended["text"], ended["finish_reason"], ended["stop_reason"]) == ("Hm.</think>\n\n7", "stop", None)
        assert ended["logprobs"]["tokens"][-1] == f"token_id:{end}"


async def test_text_lags_inside_a_character(client: Client) -> None:
    """Guards streams of emoji: no text until the character is whole, none at all if the cap comes first."""
    async with ScriptedServer(Script(["🙂"])) as server:
        opening = await client.opening(server)
        events = [json.loads(event) for event in (await client.events(server, opening))[:-1]]
        assert [event["choices"][0]["text"] for event in events] == ["", "", "", "🙂", ""]
        capped = (await client.complete(server, opening, max_tokens=3))["choices"][0]
        assert (capped["text"], capped["finish_reason"]) == ("", "length")


async def test_a_prompt_that_ends_inside_a_character_comes_back_as_text(client: Client) -> None:
    """Guards the client's care at cuts: vLLM's decoder has this fault."""
    async with ScriptedServer(Script(["So 🙂."])) as server:
        prompt = [*await client.opening(server), *server.model.tokenizer.encode("So 🙂")[:-1]]
        text = (await client.complete(server, prompt))["choices"][0]["text"]
        assert text.startswith("user\nHow many?")
        assert text.endswith("So 🙂.")


async def test_top_logprobs_agree_with_the_stream(client: Client) -> None:
    """Guards likelihood: what a later read gives at a prefix is what the stream gave there."""
    async with ScriptedServer(Script(["3 + 4 = 7."], confidence=0.6, alternatives={"8": 0.3})) as server:
        opening = await client.opening(server)
        body = {"return_tokens_as_token_ids": True}
        streamed = (await client.complete(server, opening, logprobs=0, **body))["choices"][0]["logprobs"]
        ids = [int(token.removeprefix("token_id:")) for token in streamed["tokens"]]
        assert [list(top) for top in streamed["top_logprobs"]] == [[token] for token in streamed["tokens"]]
        prompts = [[*opening, *ids[:place]] for place in range(len(ids))]
        read = (await client.complete(server, prompts, max_tokens=1, logprobs=20, **body))["choices"]
        assert [choice["index"] for choice in read] == list(range(len(ids)))
        for choice, token, logprob in zip(read, streamed["tokens"], streamed["token_logprobs"], strict=True):
            (top,) = choice["logprobs"]["top_logprobs"]
            assert len(top) == 20
            assert next(iter(top)) == token
            assert top[token] == logprob
            assert sum(map(math.exp, top.values())) <= 1


async def test_tokens_are_spelled_unless_ids_are_asked_for(client: Client) -> None:
    """Guards against clients that forget `return_tokens_as_token_ids`."""
    async with ScriptedServer(STEPS) as server:
        answer = await client.complete(server, await client.opening(server), max_tokens=2, logprobs=1)
        assert answer["choices"][0]["logprobs"]["tokens"] == ["One", " "]


async def test_usage_tells_cached_tokens_of_one_prompt_only(client: Client) -> None:
    """Guards reuse accounting: generated tokens are reused too; of several prompts only the last's count is told."""
    async with ScriptedServer(STEPS) as server:
        prompt = await client.opening(server, "How many?!!!")
        first = await client.complete(server, prompt, stop=["Three"])
        assert first["usage"]["prompt_tokens_details"] == {"cached_tokens": 0}
        longer = [*prompt, *server.model.tokenizer.encode("One cow.\n\nTwo cows:\n\n")]
        second = await client.complete(server, [longer, prompt], max_tokens=1)
        assert second["usage"] == {
            "prompt_tokens": len(longer) + len(prompt),
            "completion_tokens": 2,
            "total_tokens": len(longer) + len(prompt) + 2,
            "prompt_tokens_details": {"cached_tokens": 16},
        }
        assert server.completions[1].cached_tokens == 16 + 32


async def test_cached_tokens_are_not_told_unless_asked_at_start(client: Client) -> None:
    """Guards "absent means unknown"."""
    async with ScriptedServer(STEPS, reports_cached=False) as server:
        assert "prompt_tokens_details" not in (await client.complete(server, [5]))["usage"]


async def test_streams_end_with_usage_and_done(client: Client) -> None:
    """Guards the order of a stream's last events, and that usage comes on demand only."""
    async with ScriptedServer(Script(["Hm."])) as server:
        prompt = await client.opening(server)
        *_, last, usage, done = await client.events(server, prompt, stream_options={"include_usage": True})
        assert json.loads(last)["choices"][0]["finish_reason"] == "stop"
        assert json.loads(usage)["choices"] == []
        assert json.loads(usage)["usage"]["completion_tokens"] == server.completions[0].tokens
        assert done == "[DONE]"
        assert "usage" not in (await client.events(server, prompt))[-2]


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (
            {"prompt": [5] * 101},
            "This model's maximum context length is 100 tokens. However, your prompt",
            "input_tokens",
        ),
        ({"prompt": [5] * 100}, "max_tokens must be at least 1, got 0.", "max_tokens"),
        ({"prompt": [5], "max_tokens": 101}, "max_tokens=101 cannot be greater than max_model_len=100", "max_tokens"),
        ({"prompt": []}, "You must pass at least one prompt", None),
        ({"prompt": [[5], []]}, "The decoder prompt cannot be empty", None),
        ({"prompt": [99999]}, "Token id 99999 is out of vocabulary", None),
        ({"prompt": [5], "stop": [""]}, "stop cannot contain an empty string.", None),
        ({"prompt": [5], "stop_token_ids": [99999]}, "token_id(s) [99999] in stop_token_ids contain", "stop_token_ids"),
        ({"prompt": [5], "logprobs": -2}, "`logprobs` must be a positive value or -1.", "logprobs"),
        ({"prompt": [5], "logprobs": 21}, "Requested sample logprobs of 21, which is greater than max", "logprobs"),
        (
            {"prompt": [5], "stream_options": {"include_usage": True}},
            "Stream options can only be defined when",
            "stream_options",
        ),
        ({"prompt": [5], "stop": ["a", "b", "c", "d", "e"]}, "at most 4 items", "body.stop"),
    ],
)
async def test_impossible_requests_are_refused_as_by_vllm(
    client: Client, body: dict[str, object], message: str, param: str | None
) -> None:
    """Guards the client's reading of errors: status, shape and wording are vLLM's."""
    async with ScriptedServer(STEPS, context=100) as server:
        status, answer = await client.post(server, "/v1/completions", **body)
        assert (status, answer["error"]["code"]) == (400, 400)
        assert message in answer["error"]["message"]
        assert answer["error"]["param"] == param


async def test_output_is_clamped_to_the_context(client: Client) -> None:
    """Guards long answers: a prompt that fits is served with what is left, and ends with "length"."""
    async with ScriptedServer(STEPS, context=25) as server:
        prompt = await client.opening(server)
        answer = await client.complete(server, prompt, max_tokens=25)
        assert answer["usage"]["completion_tokens"] == 25 - len(prompt)
        assert answer["choices"][0]["finish_reason"] == "length"


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
