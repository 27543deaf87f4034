"""A generation is the same however a server cuts it into events, and what its tokens spell is asked once a process."""

from __future__ import annotations

import asyncio
from itertools import product

import pytest

from specreason_graph.endpoint import connect
from specreason_graph.endpoint.protocol import Endpoint, Form, Marker
from specreason_graph.testing import Fault, Script, ScriptedServer
from specreason_graph.testing.template import TemplateName
from specreason_graph.testing.tokenizer import TokenizerName

from .contract import Generated, collected
from .fakes import ASKED

STEPS = [
    "There are 3 cows, so 3 * 4 = 12 legs:",
    "In words: 你好 🙂👩‍🔬, مرحبا, e\u0301 and 𝑥² + 𝑦².",
    "🙂",
    "A token <|not|> and [INST] are text.\nSo it is 12.",
]
CUTTINGS = [(1, 0), (2, 0), (3, 0), (5, 0), (1000, 0), *((0, seed) for seed in range(6))]
ASCII = ["There are 3 cows with 4 legs each, so that makes 12 legs.", "The total is 12 legs."]


def server(
    tokens_per_event: int = 1, event_seed: int = 0, *, tokenizer: TokenizerName = "a", template: TemplateName = "think"
) -> ScriptedServer:
    return ScriptedServer(
        Script(STEPS, answer="It is \\boxed{12} 🙂."),
        tokenizer=tokenizer,
        template=template,
        tokens_per_event=tokens_per_event,
        event_seed=event_seed,
    )


async def every_way(endpoint: Endpoint) -> list[Generated]:
    """Generations that end in each way."""
    prompt = await endpoint.render(ASKED, {})
    close = Marker("</think>", (await endpoint.encode("</think>", control=True)).ids[0])
    whole = await collected(endpoint, prompt)
    at = whole.ids.index(close.id) + 1
    return [
        whole,
        await collected(endpoint, prompt, close=close),
        await collected(endpoint, prompt, boundary="\n\n", close=close),
        await collected(endpoint, [*prompt, *whole.ids[:20]], boundary="\n\n", close=close),
        await collected(endpoint, prompt, max_tokens=at - 1, close=close),
        await collected(endpoint, prompt, max_tokens=at, close=close),
        await collected(endpoint, prompt, max_tokens=42),
        await collected(endpoint, [*prompt, *whole.ids[:at]], form=Form(stop=["boxed{1", "!"])),
        await collected(endpoint, [*prompt, *whole.ids[:at]]),
    ]


@pytest.mark.parametrize(("tokenizer", "template"), list(product("ab", ["think", "qwen3"])))
async def test_a_generation_is_the_same_for_any_cutting(tokenizer: TokenizerName, template: TemplateName) -> None:
    """Guards every run: ids, log-probabilities, texts, why it ended and what it cost, token by token."""
    expected: list[Generated] | None = None
    for cutting in CUTTINGS:
        async with server(*cutting, tokenizer=tokenizer, template=template) as it:
            endpoint = connect("base", it.config)
            found = await every_way(endpoint)
            spelled = [await endpoint.decode(written.ids) for written in found]
            await endpoint.aclose()
        assert [written.text for written in found] == [text.rstrip("\ufffd") for text in spelled]
        expected = expected or found
        assert found == expected


@pytest.mark.parametrize("tokens_per_event", [1, 5, 0])
async def test_a_second_generation_asks_nothing(tokens_per_event: int) -> None:
    """Guards latency, whatever is written: each look-up takes as long as a token, or several."""
    async with server(tokens_per_event) as it:
        endpoint = connect("base", it.config)
        first = await every_way(endpoint)
        asked = [record.path for record in it.requests if record.path == "/detokenize"]
        before = len(it.requests)
        assert [written.tokens for written in await every_way(endpoint)] == [written.tokens for written in first]
        later = [record.path for record in it.requests[before:] if record.path == "/detokenize"]
        await endpoint.aclose()
    assert asked
    assert not later


@pytest.mark.parametrize(("tokens_per_event", "most"), [(1, 4), (5, 15), (0, 20)])
async def test_tokens_that_come_with_their_text_are_not_looked_up(tokens_per_event: int, most: int) -> None:
    """Guards the first generation, too: a look-up or two an ending, one an event where several come, none a token."""
    async with ScriptedServer(Script(ASCII), template="think", tokens_per_event=tokens_per_event) as it:
        endpoint = connect("base", it.config)
        prompt = await endpoint.render(ASKED, {})
        before = len(it.requests)
        written = await collected(endpoint, prompt)
        await endpoint.aclose()
        asked = [record.path for record in it.requests[before:] if record.path != "/v1/completions"]
    assert len(written.ids) > 50
    assert len(asked) <= most  # the prompt's last token, those that control something, and the last event's


@pytest.mark.parametrize(("tokens_per_event", "tells"), list(product([1, 5], [True, False])))
async def test_generations_at_the_same_time_ask_once(tokens_per_event: int, tells: bool) -> None:
    """Guards cold starts: a hundred runs that begin together must not each ask the same."""
    async with server(tokens_per_event) as it:
        if not tells:
            it.fail(Fault("no_token_strs"), path="/tokenize", times=None)
        endpoint = connect("base", it.config)
        prompt = await endpoint.render(ASKED, {})
        found = await asyncio.gather(*(collected(endpoint.pinned(str(run)), prompt) for run in range(8)))
        await endpoint.aclose()
        asked = [tuple(record.body["tokens"]) for record in it.requests if record.path == "/detokenize"]
        models = [record for record in it.requests if record.path == "/v1/models"]
    assert all(written.tokens == found[0].tokens for written in found)
    assert asked
    assert len(asked) == len(set(asked))
    assert len(models) == 1


@pytest.mark.parametrize("text", ["A cow.", "naïve 你好 🙂\n\n", "<|im_end|> is text, [INST] too", "A", "", "🙂"])
@pytest.mark.parametrize("tokenizer", ["a", "b"])
async def test_encoding_without_token_strings_is_the_same(text: str, tokenizer: TokenizerName) -> None:
    """Guards older vLLM and proxies: what they leave out is asked for, and the look-up does not wait for itself."""
    async with server(tokenizer=tokenizer) as plain, server(tokenizer=tokenizer) as mute:
        mute.fail(Fault("no_token_strs"), path="/tokenize", times=None)
        endpoints = [connect("base", it.config) for it in (plain, mute)]
        async with asyncio.timeout(10):
            told, asked = [await endpoint.encode(text) for endpoint in endpoints]
            again = await endpoints[1].encode(text)
        for endpoint in endpoints:
            await endpoint.aclose()
    assert told == asked == again
    assert "".join(told.texts) == text
    assert len(told.texts) == len(told.ids)


@pytest.mark.parametrize("inside", [1, 2, 3])
async def test_going_on_inside_a_character_teaches_nothing_wrong(inside: int) -> None:
    """Guards the whole process: vLLM gives the whole prompt's text with the character that is completed."""
    async with server() as it:
        endpoint = connect("base", it.config)
        prompt = await endpoint.render(ASKED, {})
        written = await collected(endpoint, prompt)
        ids, emoji = written.ids, it.model.tokenizer.encode("🙂")
        at = next(at for at in range(len(ids)) if ids[at : at + 4] == emoji)
        cold = connect("base", it.config)
        await collected(cold, [*prompt, *ids[: at + inside]])
        assert (await collected(cold, prompt)).tokens == written.tokens
        await cold.aclose()
        await endpoint.aclose()
