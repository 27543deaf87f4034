"""Fields of an answer that are missing, null, or of another kind: a typed error names the server and the field."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from specreason_graph.contract.errors import EndpointError, MalformedResponse, NoLogprobs
from specreason_graph.endpoint import connect

from .contract import collected
from .fakes import ASKED, Change, changed, choice_with, connected, logprobs_with, odd_server, without

sizes = pytest.mark.parametrize("tokens_per_event", [1, 5])

ODD_ANSWERS: list[tuple[str, Change, str]] = [
    ("no choices", without("choices"), "`choices`"),
    ("choices is an object", lambda d: d | {"choices": {}}, "`choices`"),
    ("choices holds null", lambda d: d | {"choices": [None]}, "`choices`"),
    ("choices holds text", lambda d: d | {"choices": ["text"]}, "`choices`"),
    ("an event is a list", lambda d: [d], "an event is no object"),
    ("an event is null", lambda d: None, "an event is no object"),
    ("text is a number", choice_with(text=5), "`text`"),
    ("finish_reason is a list", choice_with(finish_reason=["stop"]), "`finish_reason`"),
    ("finish_reason is new", choice_with(finish_reason="abort"), "`finish_reason`"),
    ("logprobs is a list", choice_with(logprobs=[]), "`logprobs`"),
    ("no tokens", logprobs_with(tokens=None), "`tokens`"),
    ("tokens of another kind", logprobs_with(tokens=lambda old: [None] * len(old)), "`return_tokens_as_token_ids`"),
    ("ids that are none", logprobs_with(tokens=lambda old: ["token_id:²"] * len(old)), "`return_tokens_as_token_ids`"),
    ("fewer log-probabilities", logprobs_with(token_logprobs=lambda old: old[1:]), "`token_logprobs`"),
    ("no log-probabilities", logprobs_with(token_logprobs=None), "`token_logprobs`"),
    ("log-probabilities as text", logprobs_with(token_logprobs=lambda old: list(map(str, old))), "`token_logprobs`"),
    ("truth values", logprobs_with(token_logprobs=lambda old: [False] * len(old)), "`token_logprobs`"),
    ("probabilities", logprobs_with(token_logprobs=lambda old: [math.exp(x) for x in old]), "`token_logprobs`"),
    ("infinite ones", logprobs_with(token_logprobs=lambda old: [-math.inf] * len(old)), "`token_logprobs`"),
    ("usage is a list", lambda d: d | {"usage": [1]}, "`usage`"),
    ("usage as text", lambda d: d | {"usage": {"prompt_tokens": "3"}}, "`prompt_tokens`"),
]


@sizes
@pytest.mark.parametrize(("change", "field"), [pytest.param(c, f, id=name) for name, c, f in ODD_ANSWERS])
async def test_an_odd_event_is_a_typed_error(change: Change, field: str, tokens_per_event: int) -> None:
    """Guards callers: no KeyError, TypeError or ValueError, and no log-probability that is none."""
    async with connected(odd_server(tokens_per_event), change) as endpoint:
        prompt = await endpoint.render(ASKED, {})
        with pytest.raises(EndpointError, match=rf"draft endpoint http://127\.0\.0\.1:\d+.*{re.escape(field)}"):
            await collected(endpoint, prompt, boundary="\n\n")


ODD_READINGS: list[tuple[str, Change, str]] = [
    *(odd for odd in ODD_ANSWERS if odd[0].startswith(("no choices", "choices", "logprobs", "no tokens", "usage"))),
    ("one answer too few", lambda d: d | {"choices": d["choices"][1:]}, "`choices`"),
    ("the same answer twice", choice_with(index=0), "`choices`"),
    ("no index", choice_with(index=None), "`index`"),
    ("no tokens at all", logprobs_with(tokens=[]), "`tokens`"),
    ("no top", logprobs_with(top_logprobs=None), "`top_logprobs`"),
    ("an empty top", logprobs_with(top_logprobs=[]), "`top_logprobs`"),
    ("a top of nothing", logprobs_with(top_logprobs=[{}]), "`top_logprobs`"),
    ("a top of another shape", logprobs_with(top_logprobs=[["token_id:1"]]), "`top_logprobs`"),
    ("a top of nulls", logprobs_with(top_logprobs=[{"token_id:1": None}]), "`top_logprobs`"),
    (
        "cached tokens as text",
        lambda d: d | {"usage": {"prompt_tokens_details": {"cached_tokens": "3"}}},
        "`cached_tokens`",
    ),
]


@pytest.mark.parametrize(("change", "field"), [pytest.param(c, f, id=name) for name, c, f in ODD_READINGS])
async def test_an_odd_reading_is_a_typed_error(change: Change, field: str) -> None:
    """Guards scores in the same way."""
    async with connected(odd_server(), change) as endpoint:
        prompt = await endpoint.render(ASKED, {})
        with pytest.raises((MalformedResponse, NoLogprobs), match=rf"draft endpoint .*{re.escape(field)}"):
            await endpoint.read([prompt, prompt])


LIKELIHOODS: list[tuple[str, Change, str]] = [
    ("NaN", lambda d: _rows(d, math.nan), "`prompt_logprobs`"),
    ("null", lambda d: _rows(d, None), "`prompt_logprobs`"),
    ("a probability", lambda d: _rows(d, 0.5), "`prompt_logprobs`"),
    ("no rows", without("prompt_logprobs"), "`prompt_logprobs`"),
    ("rows of nothing", lambda d: d | {"prompt_logprobs": [None] * len(d["prompt_logprobs"])}, "`prompt_logprobs`"),
    ("too few rows", lambda d: d | {"prompt_logprobs": d["prompt_logprobs"][1:]}, "`prompt_logprobs`"),
    ("no usage", without("usage"), "`usage`"),
]


def _rows(document: dict[str, Any], value: float | None) -> object:
    rows = [row and {token: {"logprob": value} for token in row} for row in document["prompt_logprobs"]]
    return document | {"prompt_logprobs": rows}


@pytest.mark.parametrize(("change", "field"), [pytest.param(c, f, id=name) for name, c, f in LIKELIHOODS])
async def test_an_odd_likelihood_is_a_typed_error(change: Change, field: str) -> None:
    """Guards likelihood policies: NaN compares with nothing, and a missing row is no certainty."""
    async with odd_server(scale_out=True) as server, changed(server, change, "/inference/v1/generate") as config:
        endpoint = connect("base", config)
        with pytest.raises((MalformedResponse, NoLogprobs), match=rf"base endpoint .*{field}"):
            await endpoint.likelihood([5, 6, 7])
        await endpoint.aclose()


@pytest.mark.parametrize(
    ("path", "change", "field"),
    [
        ("/tokenize", without("tokens"), "`tokens`"),
        ("/tokenize", lambda d: d | {"tokens": ["a"]}, "`tokens`"),
        ("/detokenize", without("prompt"), "`prompt`"),
        ("/v1/models", without("data"), "data"),
        ("/v1/models", lambda d: {"data": [{"id": "scripted", "max_model_len": "long"}]}, "max_model_len"),
    ],
)
async def test_odd_answers_about_text_are_typed_errors(path: str, change: Change, field: str) -> None:
    """Guards prompts."""
    async with odd_server() as server, changed(server, change, path) as config:
        endpoint = connect("base", config)
        with pytest.raises(MalformedResponse, match=rf"base endpoint .*{field}"):
            await endpoint.decode((await endpoint.encode("A cow.")).ids)
        await endpoint.aclose()


@pytest.mark.parametrize("strings", [[None], [], ["A"], 3 * ["x"]], ids=str)
async def test_odd_token_strings_are_not_believed(strings: list[Any]) -> None:
    """Guards offsets: strings that do not make up the text are asked for one by one."""
    async with (
        odd_server() as server,
        changed(server, lambda d: d | {"token_strs": strings}, "/tokenize") as config,
    ):
        endpoint = connect("base", config)
        encoded = await endpoint.encode("A cow 🙂.")
        await endpoint.aclose()
    assert "".join(encoded.texts) == "A cow 🙂."
    assert len(encoded.texts) == len(encoded.ids)


@sizes
async def test_half_a_character_is_no_text(tokens_per_event: int) -> None:
    """Guards replies, files and terminals, none of which takes a lone surrogate: what the ids spell is asked for."""
    found = []
    for change in (choice_with(), choice_with(text=lambda old: "\ud800" * len(old))):
        async with connected(odd_server(tokens_per_event), change) as endpoint:
            found.append(await collected(endpoint, await endpoint.render(ASKED, {})))
    assert found[0].tokens == found[1].tokens
    assert found[1].text.encode()
