"""What two real models read and write beyond ASCII under llama.cpp, whose answers lack ids inside a character."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from specreason_graph.contract.config import EndpointConfig, PairConfig
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.llamacpp import LlamaCppEndpoint
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.weights import pull

from .contract import collected

pytestmark = pytest.mark.real_models

UNICORNS = "The unicorns are: 🦄 🦄 🦄 🦄 🦄 🦄 🦄 "
LETTERS = "𝑥 + 𝑥 + 𝑥 + 𝑥 + 𝑥 + "
TEXTS = [
    UNICORNS.rstrip(),
    LETTERS.rstrip(),
    "مرحبا بالعالم مرحبا بالعالم مرحبا",
    "你好世界你好世界你好世",
    "ﷺ ﷺ ﷺ ﷺ",
    "Mix: 🙂𝑥你م 🙂𝑥你م 🙂𝑥你",
]


@pytest.fixture(scope="module")
def pair() -> Iterator[PairConfig]:
    with embedded_pair(pull("cross-tokenizer"), context=1024) as it:
        yield it


@pytest.fixture(params=["base", "draft"])
def config(request: pytest.FixtureRequest, pair: PairConfig) -> EndpointConfig:
    found: EndpointConfig = getattr(pair, request.param)
    return found


@pytest.fixture
async def endpoint(config: EndpointConfig) -> AsyncIterator[LlamaCppEndpoint]:
    it = LlamaCppEndpoint("base", config)
    yield it
    await it.aclose()


class Raw:
    """The server itself."""

    def __init__(self, config: EndpointConfig) -> None:
        self.http = Http("base", config)

    async def completion(self, prompt: Sequence[int], **body: Any) -> dict[str, Any]:
        """One answer; greedy, and nothing of it taken from another prompt's cache."""
        answer = await self.http.post(
            "/completion", {"prompt": prompt, "temperature": 0, "cache_prompt": False, **body}
        )
        (found,) = answer if isinstance(answer, list) else [answer]
        assert isinstance(found, dict)
        return found

    async def top(self, prompt: Sequence[int], **body: Any) -> dict[int, float] | None:
        """The log-probabilities that it gives, if it gives any."""
        told = (await self.completion(prompt, n_predict=1, n_probs=20, **body)).get("completion_probabilities")
        return {one["id"]: one["logprob"] for one in told[0]["top_logprobs"]} if told else None


@pytest.fixture
async def raw(config: EndpointConfig) -> AsyncIterator[Raw]:
    it = Raw(config)
    yield it
    await it.http.aclose()


@pytest.mark.parametrize("text", [UNICORNS, LETTERS, "你好世界你好世界你好世"])
async def test_a_place_where_half_a_character_is_likeliest_is_read(
    endpoint: LlamaCppEndpoint, raw: Raw, text: str
) -> None:
    """Guards runs of any language: the server gives no log-probabilities where it would choose such a token, and
    the token that is forced instead changes none of them: they are those before sampling."""
    ids, told = (await endpoint.encode(text)).ids, 0
    for end in range(len(ids) - 4, len(ids) + 1):
        prompt = ids[:end]
        reading = (await endpoint.read([prompt])).items[0]
        forced = await raw.top(prompt, logit_bias=[[(await endpoint.encode("A")).ids[0], 1000.0]])
        assert forced is not None
        assert reading.likeliest == max(forced, key=forced.__getitem__)
        free = await raw.top(prompt)
        if free is None:  # one that ends inside a character is the likeliest
            assert (await endpoint.decode([reading.likeliest])).endswith("\ufffd")
            continue
        told += 1
        assert free == pytest.approx(forced, abs=1e-4)
    assert told < 5 or text != UNICORNS


async def test_places_with_half_a_character_are_read_beside_others(endpoint: LlamaCppEndpoint) -> None:
    """Guards likelihood judges, which read all places of a step in one request."""
    ids = (await endpoint.encode(UNICORNS)).ids
    readings = (await endpoint.read([ids[:end] for end in range(1, len(ids))])).items
    assert len(readings) == len(ids) - 1
    assert all(len(reading.logprobs) == 20 for reading in readings)


@pytest.mark.parametrize("text", TEXTS)
async def test_what_is_written_beyond_ascii_is_what_its_ids_spell(
    endpoint: LlamaCppEndpoint, raw: Raw, text: str
) -> None:
    """Guards ledgers: the text is the server's own, and the ids, read again, spell it."""
    prompt = (await endpoint.encode(text)).ids
    written = await collected(endpoint, prompt, max_tokens=25)
    whole = await raw.completion(prompt, n_predict=25, top_k=0, min_p=0.0, seed=0)
    assert whole["content"].startswith(written.text)
    assert whole["content"].removeprefix(written.text).strip() in ("", "\ufffd")  # what the cap made of a character
    assert await endpoint.decode([*prompt, *written.ids]) == text + written.text
    assert "\ufffd" not in written.text
    assert not written.text.isascii()
    assert all(logprob < 0 for logprob in written.logprobs)
    again = await collected(endpoint, [*prompt, *written.ids], max_tokens=3)
    assert again.ids
    assert whole["tokens_predicted"] - len(written.ids) in range(4)


@pytest.mark.parametrize("text", [TEXTS[0], TEXTS[2], TEXTS[5]])
async def test_a_second_generation_looks_nothing_up(
    endpoint: LlamaCppEndpoint, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards latency: a character of several tokens is encoded anew once."""
    prompt, asked, post = (await endpoint.encode(text)).ids, list[str](), Http.post

    async def counted(self: Http, path: str, body: Any) -> Any:
        asked.append(path)
        return await post(self, path, body)

    first = await collected(endpoint, prompt, max_tokens=25)
    monkeypatch.setattr(Http, "post", counted)
    second = await collected(endpoint, prompt, max_tokens=25)
    assert second.ids == first.ids
    assert not asked


@pytest.mark.parametrize("text", [*TEXTS, "naïve e\u0301 <|im_end|> [INST]\n\n\n", " a", "\n", "👨‍👩‍👧🏽", "\ufffd!"])
async def test_each_ids_text_is_its_part_of_any_text(endpoint: LlamaCppEndpoint, text: str) -> None:
    """Guards offsets between two tokenizers."""
    encoded = await endpoint.encode(text)
    assert len(encoded.texts) == len(encoded.ids)
    assert "".join(encoded.texts) == text
    assert await endpoint.decode(encoded.ids) == text
