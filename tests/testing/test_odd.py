"""Odd servers must be odd in one thing each, at any number of tokens an event, and sound in everything else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from specreason_graph.testing import Fault, Script, ScriptedServer
from specreason_graph.testing.odd import OddKind

from .conftest import Client

THOUGHTS = Script(["One cow.", "Two cows."], answer="2")
ASKED = {"logprobs": 2, "return_tokens_as_token_ids": True, "include_stop_str_in_output": True}
SIZES = pytest.mark.parametrize("size", [1, 5, 0])


async def streamed(client: Client, kind: OddKind | None, size: int, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream of a server that is odd, or of a sound one."""
    async with ScriptedServer(THOUGHTS, template="think", tokens_per_event=size) as server:
        if kind is not None:
            server.fail(Fault(kind), times=None)
        body |= {"stop_token_ids": [server.model.tokenizer.id("</think>")], **ASKED}
        *events, done = await client.events(server, await client.opening(server), **body)
        assert done == "[DONE]"
        assert server.completions[0].complete
        return [json.loads(event) for event in events]


async def whole(client: Client, kind: OddKind | None, **body: Any) -> dict[str, Any]:
    """The answer of an odd server to a request that asks for no stream."""
    async with ScriptedServer(THOUGHTS, template="think") as server:
        if kind is not None:
            server.fail(Fault(kind), times=None)
        answer: dict[str, Any] = await client.complete(server, await client.opening(server), **ASKED, **body)
        return answer


def text(events: list[dict[str, Any]]) -> str:
    return "".join(event["choices"][0]["text"] for event in events)


def same_number(values: list[Any], expected: float | None) -> bool:
    """Whether all are that: NaN equals nothing, itself neither."""
    return len(values) > 0 and all(repr(value) == repr(expected) for value in values)


@pytest.mark.parametrize("messages", [False, True])
async def test_a_server_without_token_strs(client: Client, messages: bool) -> None:
    """Guards clients on older servers and proxies: the key is missing, the ids are there."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": "So?"}]} if messages else {"prompt": "So?"}
    async with ScriptedServer(THOUGHTS) as server:
        _, sound = await client.post(server, "/tokenize", return_token_strs=True, **body)
        server.fail(Fault("no_token_strs"), path="/tokenize", times=None)
        for _ in range(2):
            _, odd = await client.post(server, "/tokenize", return_token_strs=True, **body)
            assert odd == {name: value for name, value in sound.items() if name != "token_strs"}


@SIZES
@pytest.mark.parametrize(("kind", "value"), [("null_logprobs", None), ("nan_logprobs", float("nan"))])
async def test_log_probabilities_that_are_no_numbers(
    client: Client, kind: OddKind, value: float | None, size: int
) -> None:
    """Guards thresholds: every value is null or NaN, while ids, text and reasons are what they would be."""
    sound, odd = await streamed(client, None, size), await streamed(client, kind, size)
    assert text(odd) == text(sound)
    for choice, other in ((a["choices"][0], b["choices"][0]) for a, b in zip(odd, sound, strict=True)):
        assert (choice["finish_reason"], choice["stop_reason"]) == (other["finish_reason"], other["stop_reason"])
        assert choice["logprobs"]["tokens"] == other["logprobs"]["tokens"]
        assert [list(top) for top in choice["logprobs"]["top_logprobs"]] == [
            list(top) for top in other["logprobs"]["top_logprobs"]
        ]
        assert same_number(choice["logprobs"]["token_logprobs"], value)
        assert same_number([v for top in choice["logprobs"]["top_logprobs"] for v in top.values()], value)
    (choice,) = (await whole(client, kind))["choices"]
    assert same_number(choice["logprobs"]["token_logprobs"], value)


async def test_nan_is_spelled_bare(client: Client) -> None:
    """Guards JSON parsers: on the wire it is the word that Python writes, which is not JSON."""
    async with ScriptedServer(THOUGHTS) as server:
        server.fail(Fault("nan_logprobs"), times=None)
        assert '"token_logprobs":[NaN]' in (await client.events(server, [5], logprobs=0))[0]


async def test_log_probabilities_nobody_asked_for_stay_away(client: Client) -> None:
    """Guards the odd server itself: it invents no lists."""
    async with ScriptedServer(THOUGHTS) as server:
        server.fail(Fault("null_logprobs"))
        assert (await client.complete(server, [5]))["choices"][0]["logprobs"] is None


@SIZES
async def test_choices_that_are_null(client: Client, size: int) -> None:
    """Guards clients from a TypeError: in each event, the one with the usage included, and in whole answers."""
    options = {"stream_options": {"include_usage": True}}
    odd, sound = await streamed(client, "null_choices", size, **options), await streamed(client, None, size, **options)
    assert [event["choices"] for event in odd] == [None] * len(sound)
    assert odd[-1]["usage"] == sound[-1]["usage"]
    assert (await whole(client, "null_choices"))["choices"] is None


@SIZES
async def test_a_server_that_ignores_stop_strings(client: Client, size: int) -> None:
    """Guards boundaries: the text runs on behind the stop string, up to what else stops it."""
    asked: dict[str, Any] = {"stop": ["\n\n"]}
    assert text(await streamed(client, None, size, **asked)) == "One cow.\n\n"
    odd = await streamed(client, "ignores_stop", size, **asked)
    assert text(odd) == "One cow.\n\nTwo cows.</think>"
    assert odd[-1]["choices"][0]["finish_reason"] == "stop"
    assert text([await whole(client, "ignores_stop", **asked)]) == "One cow.\n\nTwo cows.</think>\n\n2"


@SIZES
async def test_a_server_that_ignores_stop_ids(client: Client, size: int) -> None:
    """Guards the end of thinking: the close is a token like any other, and the answer follows it."""
    sound, odd = await streamed(client, None, size), await streamed(client, "ignores_stop_ids", size)
    assert text(sound) == "One cow.\n\nTwo cows.</think>"
    assert text(odd) == "One cow.\n\nTwo cows.</think>\n\n2"
    assert isinstance(sound[-1]["choices"][0]["stop_reason"], int)
    last = odd[-1]["choices"][0]
    assert (last["finish_reason"], last["stop_reason"]) == ("stop", None)


@SIZES
async def test_a_server_without_usage(client: Client, size: int) -> None:
    """Guards the accounts: a stream ends without the usage it was asked for, a whole answer's is null."""
    options = {"stream_options": {"include_usage": True}}
    sound, odd = await streamed(client, None, size, **options), await streamed(client, "no_usage", size, **options)
    assert "usage" in sound[-1]
    assert text(odd) == text(sound[:-1])
    assert not any("usage" in event for event in odd)
    assert (await whole(client, "no_usage"))["usage"] is None


async def test_odd_servers_record_what_was_sent(client: Client) -> None:
    """Guards tests that look at requests: the field is passed over in reading, not in the records."""
    async with ScriptedServer(THOUGHTS) as server:
        server.fail(Fault("ignores_stop"))
        await client.complete(server, [5], stop=["cow"])
        assert server.completions[0].body["stop"] == ["cow"]
