"""Servers and proxies that answer in full but oddly: right work or a typed error, and never a score made up."""

from __future__ import annotations

from typing import Any

import pytest

from specreason_graph.contract.errors import EndpointError
from specreason_graph.endpoint import Endpoint, connect
from specreason_graph.endpoint.protocol import Form, Marker
from specreason_graph.testing import Fault
from specreason_graph.testing.odd import CHANGES, IGNORED_FIELDS

from .contract import Generated, collected
from .fakes import ASKED, STEPS, Change, choice_with, connected, odd_server, without

TOLD_BY = {
    "no_logprobs": "logprobs",
    "no_token_ids": "return_tokens_as_token_ids",
    "null_choices": "choices",
    "null_logprobs": "token_logprobs",
    "nan_logprobs": "token_logprobs",
}
"""The field that a generation's error names; all other odd servers are worked with."""

sizes = pytest.mark.parametrize("tokens_per_event", [1, 5])


async def closing(endpoint: Endpoint) -> Marker:
    return Marker("</think>", (await endpoint.encode("</think>", control=True)).ids[0])


async def three_ways(endpoint: Endpoint) -> dict[str, Generated]:
    """Up to the boundary, to the end of the reasoning, and an answer to the end of the turn."""
    prompt, close = await endpoint.render(ASKED, {}), await closing(endpoint)
    step = await collected(endpoint, prompt, boundary="\n\n", close=close)
    reasoning = await collected(endpoint, prompt, close=close)
    answer = await collected(endpoint, [*prompt, *reasoning.ids, close.id])
    return {"step": step, "reasoning": reasoning, "answer": answer}


async def plain(tokens_per_event: int = 1) -> dict[str, Generated]:
    """What a server says that is not odd."""
    async with odd_server(tokens_per_event) as server:
        endpoint = connect("base", server.config)
        try:
            return await three_ways(endpoint)
        finally:
            await endpoint.aclose()


@sizes
@pytest.mark.parametrize("kind", sorted({*IGNORED_FIELDS, *CHANGES}))
async def test_odd_servers_are_worked_with_or_told(kind: str, tokens_per_event: int) -> None:
    """Guards ids and log-probabilities of every step: they are those of a plain server, or there is no step."""
    expected = await plain()
    async with odd_server(tokens_per_event) as server:
        path = "/tokenize" if kind == "no_token_strs" else "/v1/completions"
        server.fail(Fault(kind), path=path, times=None)  # type: ignore[arg-type]
        endpoint = connect("draft", server.config)
        try:
            if kind in TOLD_BY:
                with pytest.raises(EndpointError, match=rf"draft endpoint {server.url}.*`{TOLD_BY[kind]}`"):
                    await three_ways(endpoint)
                return
            found = await three_ways(endpoint)
        finally:
            await endpoint.aclose()
    for name, right in expected.items():
        if (kind, name) == ("ignores_stop", "step"):  # it writes on, and whoever reads it cuts there
            assert found[name].tokens[: len(right.tokens)] == right.tokens
        else:
            assert found[name].tokens == right.tokens
            assert (found[name].end.why, found[name].end.closing) == (right.end.why, right.end.closing)


@pytest.mark.parametrize("kind", sorted({*IGNORED_FIELDS, *CHANGES}))
async def test_odd_servers_are_read_rightly_or_told(kind: str) -> None:
    """Guards scores: each is a log-probability that the server gave."""
    async with odd_server() as server:
        server.fail(Fault(kind), path="/tokenize" if kind == "no_token_strs" else "/v1/completions", times=None)  # type: ignore[arg-type]
        endpoint = connect("base", server.config)
        prompt = await endpoint.render(ASKED, {})
        try:
            if kind in TOLD_BY:
                with pytest.raises(EndpointError, match=f"base endpoint {server.url}"):
                    await endpoint.read([prompt, prompt])
            else:
                readings = await endpoint.read([prompt, prompt])
                assert readings.usage.prompt_tokens == 2 * len(prompt)
                assert all(value < 0 for item in readings.items for value in item.logprobs.values())
        finally:
            await endpoint.aclose()


@sizes
async def test_nothing_behind_the_closing_marker_is_told(tokens_per_event: int) -> None:
    """Guards the reasoning against a server that ignores stop_token_ids and goes on to the answer."""
    async with odd_server(tokens_per_event) as server:
        server.fail(Fault("ignores_stop_ids"), times=None)
        endpoint = connect("base", server.config)
        prompt, close = await endpoint.render(ASKED, {}), await closing(endpoint)
        reasoning = await collected(endpoint, prompt, close=close)
        await endpoint.aclose()
        await server.idle()
    assert (reasoning.end.why, reasoning.end.closing and reasoning.end.closing[0]) == ("close", close.id)
    assert close.id not in reasoning.ids
    assert "</think>" not in reasoning.text
    assert reasoning.text.rstrip().endswith(STEPS[-1])
    assert reasoning.end.usage.completion_tokens > len(reasoning.ids)


HARMLESS: list[tuple[str, Change]] = [
    ("no usage", without("usage")),
    ("usage is null", lambda d: d | {"usage": None}),
    ("no completion_tokens", lambda d: d | {"usage": {"prompt_tokens": 5}} if "usage" in d else d),
    ("no details", lambda d: d | {"usage": d["usage"] | {"prompt_tokens_details": None}} if "usage" in d else d),
    ("error is null", lambda d: d | {"error": None}),
    ("no stop_reason", choice_with(stop_reason=None)),
    ("no text", choice_with(text=None)),
]


@sizes
@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in HARMLESS])
async def test_what_is_not_needed_may_be_missing(change: Change, tokens_per_event: int) -> None:
    """Guards proxies: without stop_reason a boundary, the end of turn and the end of the reasoning are told apart."""
    expected = await plain()
    async with connected(odd_server(tokens_per_event), change) as endpoint:
        found = await three_ways(endpoint)
        await endpoint.read([await endpoint.render(ASKED, {})])
    for name, right in expected.items():
        assert found[name].tokens == right.tokens
        assert (found[name].end.why, found[name].end.closing) == (right.end.why, right.end.closing)
        assert found[name].end.usage.completion_tokens == right.end.usage.completion_tokens


@sizes
@pytest.mark.parametrize("stop", ["hens.", "here", "\n\n3", "cows 🙂", "e"])
async def test_a_stop_inside_a_token_is_told_without_stop_reason(stop: str, tokens_per_event: int) -> None:
    """Guards answers behind a proxy: the last token is the stop's, and not an end of turn to be taken off."""
    async with connected(odd_server(tokens_per_event), choice_with(stop_reason=None)) as endpoint:
        prompt = await endpoint.render(ASKED, {})
        whole = await collected(endpoint, prompt)
        written = await collected(endpoint, prompt, form=Form(stop=["never written", stop]))
    assert (written.end.why, written.end.closing) == ("boundary", None)
    assert written.tokens == whole.tokens[: len(written.tokens)]
    assert stop in written.text
    assert stop not in written.text.removesuffix(written.tokens[-1].text)


@sizes
async def test_an_end_of_turn_of_another_id_is_no_boundary(tokens_per_event: int) -> None:
    """Some models have several ends of turn; vLLM names the one that it was in stop_reason."""

    def ended(document: dict[str, Any]) -> object:
        for choice in document["choices"]:
            choice["stop_reason"] = 7 if choice["finish_reason"] == "stop" else None
        return document

    async with connected(odd_server(tokens_per_event), ended) as endpoint:
        found = await three_ways(endpoint)
    assert found["answer"].end.why == "end_of_turn"
    assert found["answer"].text.strip() == "12"
