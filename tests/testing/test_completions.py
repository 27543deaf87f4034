"""Completions as vLLM 0.32 answers them: what stops them, their log-probabilities, what they count and refuse."""

from __future__ import annotations

import json
import math

import pytest

from specreason_graph.testing import Script, ScriptedServer

from .conftest import Client

STEPS = Script(["One cow.", "Two cows:", "Three."])


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
