"""What the llama.cpp client keeps between requests, and what it makes of odd servers."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp import web

from specreason_graph.contract.errors import MalformedResponse, NoLogprobs
from specreason_graph.endpoint import connect

from .contract import collected
from .fakes import llama

TOKEN = {"id": 1, "logprob": -0.1}
READING = {
    "completion_probabilities": [TOKEN | {"top_logprobs": [TOKEN]}],
    "tokens_evaluated": 3,
    "tokens_predicted": 1,
    "index": 0,
}
EVENT = {"tokens": [1], "tokens_predicted": 1, "content": "a", "completion_probabilities": [TOKEN], "stop": False}
LAST = {"content": "", "stop": True, "stop_type": "limit", "tokens_evaluated": 3, "tokens_predicted": 1}


async def test_all_runs_share_what_is_known_of_the_slots() -> None:
    """Each has its own view of the endpoint, and yet must not throw out another one's prefix."""
    seen: list[tuple[str | None, int]] = []

    async def completion(request: web.Request) -> list[dict[str, Any]]:
        seen.append((request.headers.get("X-Session-ID"), (await request.json())["id_slot"]))
        return [READING]

    async with llama({"/completion": completion}) as config:
        endpoint = connect("base", config)
        for _ in range(2):
            for session, first in (("one", 10), ("other", 20)):
                await endpoint.pinned(session).read([[first, first + 1, first + 2]])
        await endpoint.aclose()
    assert [session for session, _ in seen] == ["one", "other", "one", "other"]
    assert seen[0][1] != seen[1][1]
    assert seen[:2] == seen[2:]


ODD_READINGS: list[tuple[dict[str, Any], str]] = [
    ({"completion_probabilities": None}, "completion_probabilities"),
    ({"completion_probabilities": []}, "top_logprobs"),
    ({"completion_probabilities": [TOKEN]}, "top_logprobs"),
    ({"completion_probabilities": [TOKEN | {"top_logprobs": []}]}, "top_logprobs"),
    ({"completion_probabilities": [TOKEN | {"top_logprobs": [{"id": 1, "logprob": None}]}]}, "top_logprobs"),
    ({"completion_probabilities": [TOKEN | {"top_logprobs": [{"id": 1, "prob": 0.9}]}]}, "top_logprobs"),
    ({"completion_probabilities": [TOKEN | {"top_logprobs": [{"logprob": -1.0}]}]}, "id"),
    ({"completion_probabilities": ["x"]}, "top_logprobs"),
    ({"index": None}, "index"),
    ({"index": 1}, "answers 1 of 1 prompts"),
    ({"tokens_evaluated": None}, "tokens_evaluated"),
    ({"timings": [1]}, "timings"),
]


@pytest.mark.parametrize(("odd", "named"), ODD_READINGS, ids=str)
async def test_an_odd_reading_is_a_typed_error(odd: dict[str, Any], named: str) -> None:
    """Guards scores: the message names the server and the field."""
    async with llama({"/completion": [READING | odd]}) as config:
        endpoint = connect("base", config)
        with pytest.raises((MalformedResponse, NoLogprobs), match=rf"base endpoint {config.base_url}.*{named}"):
            await endpoint.read([[1, 2, 3]])
        await endpoint.aclose()


ODD_EVENTS: list[tuple[dict[str, Any], str]] = [
    ({"tokens": None}, "tokens"),
    ({"tokens": [1, 2]}, "2 `tokens` and 1 `completion_probabilities`"),
    ({"tokens_predicted": None}, "tokens_predicted"),
    ({"content": None}, "content"),
    ({"completion_probabilities": None}, "completion_probabilities"),
    ({"completion_probabilities": [{"id": 1, "logprob": None}]}, "logprob"),
    ({"completion_probabilities": [{"id": 1, "prob": 0.9}]}, "logprob"),
    ({"completion_probabilities": [5]}, "logprob"),
    ({"tokens": [], "completion_probabilities": [], "tokens_predicted": 3}, "completion_probabilities"),
]


@pytest.mark.parametrize(("odd", "named"), ODD_EVENTS, ids=str)
async def test_an_odd_event_is_a_typed_error(odd: dict[str, Any], named: str) -> None:
    """Guards ids and their log-probabilities: none is made up."""
    async with llama({"/completion": [EVENT | odd, LAST]}) as config:
        endpoint = connect("base", config)
        with pytest.raises((MalformedResponse, NoLogprobs), match=rf"base endpoint {config.base_url}.*{named}"):
            await collected(endpoint, [1, 2, 3])
        await endpoint.aclose()


@pytest.mark.parametrize(
    ("odd", "named"), [({"stop_type": "none"}, "stop_type"), ({"tokens_evaluated": None}, "tokens_evaluated")], ids=str
)
async def test_an_odd_end_is_a_typed_error(odd: dict[str, Any], named: str) -> None:
    """Guards against half a step taken for a whole one."""
    async with llama({"/completion": [EVENT, LAST | odd], "/detokenize": {"content": "Aa"}}) as config:
        endpoint = connect("base", config)
        with pytest.raises(MalformedResponse, match=rf"base endpoint {config.base_url}.*{named}"):
            await collected(endpoint, [1, 2, 3])
        await endpoint.aclose()


async def test_a_text_that_was_cut_at_a_stop_is_not_taken_for_the_tokens() -> None:
    """The server sends "." for the token ".\\n\\n" that completes a stop: it would be "." for ever."""
    told = TOKEN | {"top_logprobs": [TOKEN | {"bytes": [46, 10, 10]}]}  # of the likeliest token, whichever it took
    stopped = LAST | {"stop_type": "word", "stopping_word": "\n\n"}
    for probabilities, detokenized in ((told, "never asked"), (TOKEN, "A.\n\n")):
        event = EVENT | {"content": ".", "completion_probabilities": [probabilities]}
        answers = {"/completion": [event, stopped], "/detokenize": {"content": detokenized}}
        async with llama(answers) as config:
            endpoint = connect("base", config)
            written = await collected(endpoint, [1, 2, 3], boundary="\n\n")
            await endpoint.aclose()
        assert (written.text, written.end.why) == (".\n\n", "boundary")
