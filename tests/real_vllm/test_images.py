"""What a real vLLM makes of images, and whole runs on a pair that sees.

The pair has random weights, so nothing here is about what it says. What the client relies on is looked at on the wire:
unknown fields are ignored with a 200, and a placeholder without an image is a token like others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import aiohttp
import pytest
from drawings import drawing, file
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, PairConfig, Settings, create_specreason
from specreason_graph.endpoint.image import Image
from specreason_graph.endpoint.protocol import Sampling, Token
from specreason_graph.judging.catalog import builtin
from specreason_graph.models.image_file import as_block, image
from specreason_graph.models.images import taken_out
from specreason_graph.models.turns import opening

from .servers import BLOCK

pytestmark = [pytest.mark.real_vllm, pytest.mark.timeout(900)]

RED, BLUE = drawing("red"), drawing("blue")
LONG = "Tell me what you see in it, and count well. " * 12
RANDOM: dict[str, Any] = {"judge": "likelihood", "threshold": -30.0, "temperature": 0.0, "loop_detection": False}
"""Random weights find every token about as unlikely as any: all steps are accepted."""


async def post(config: PairConfig, path: str, body: Any) -> tuple[int, Any]:
    assert config.base.api_key is not None
    headers = {"Authorization": f"Bearer {config.base.api_key.get_secret_value()}"}
    async with (
        aiohttp.ClientSession(config.base.base_url, headers=headers) as client,
        client.post(path, json=body) as response,
    ):
        return response.status, await response.json()


async def generate(config: PairConfig, ids: Sequence[int], parts: Sequence[Any], **more: Any) -> tuple[int, Any]:
    sampling = {"max_tokens": 4, "temperature": 0, "logprobs": 0, **more.pop("sampling", {})}
    body = {"token_ids": list(ids), "content_parts": list(parts), "sampling_params": sampling, **more}
    return await post(config, "/inference/v1/generate", body)


def part(image: Image, *, sent: bool = True) -> dict[str, str]:
    told = {"type": "image_url", "uuid": image.uuid}
    return {**told, "url": image.url} if sent else told


async def rendered(config: PairConfig, *images: Image) -> tuple[list[int], list[int]]:
    """What `/tokenize` gives for some images and a text, and the same with one placeholder each."""
    content = [*({"type": "image_url", "image_url": {"url": image.url}} for image in images)]
    messages = [{"role": "user", "content": [*content, {"type": "text", "text": "What is it?"}]}]
    _, answer = await post(config, "/tokenize", {"messages": messages})
    expanded = answer["tokens"]
    (place,) = {token for token in expanded if expanded.count(token) >= 12}
    single = [token for at, token in enumerate(expanded) if token != place or expanded[at - 1] != place]
    return expanded, single


@pytest.fixture
async def pair(seeing_pair: PairConfig) -> AsyncIterator[Pair]:
    async with Pair(seeing_pair) as it:
        yield it


async def test_tokenize_expands_and_generate_expands_one_placeholder_likewise(seeing_pair: PairConfig) -> None:
    """Guards prompts: what is rendered with an image can't be sent as it is; it would be expanded once more."""
    expanded, single = await rendered(seeing_pair, RED)
    assert len(expanded) == len(single) + 12 - 1
    _, answer = await generate(seeing_pair, single, [part(RED)], return_token_ids=True)
    assert answer["prompt_token_ids"] == expanded
    assert [place["length"] for place in answer["mm_placeholders"]["image"]] == [12]
    _, twice = await generate(seeing_pair, expanded, [part(RED)])
    assert twice["usage"]["prompt_tokens"] == len(expanded) + 12 - 1


async def test_a_placeholder_alone_is_a_token_like_others(seeing_pair: PairConfig) -> None:
    """Guards against losing images on the way: no server would tell us."""
    _, single = await rendered(seeing_pair, RED)
    status, answer = await generate(seeing_pair, single, [])
    assert (status, answer["usage"]["prompt_tokens"]) == (200, len(single))


async def test_a_placeholder_that_a_model_wrote_is_a_token_like_others(seeing_pair: PairConfig) -> None:
    """Guards steps in which a model spells one: the prompt that goes on behind it has one more than it has images."""
    expanded, single = await rendered(seeing_pair, RED)
    (place,) = {token for token in expanded if expanded.count(token) >= 12}
    spelled = {"logit_bias": {str(place): 100.0}, "max_tokens": 3}
    _, answer = await generate(seeing_pair, single, [part(RED)], sampling=spelled)
    said = answer["choices"][0]
    assert said["token_ids"] == [place] * 3
    computed = {"max_tokens": 1, "prompt_logprobs": 1}
    longer = [*single, *said["token_ids"], single[-1]]
    status, again = await generate(seeing_pair, longer, [part(RED)], sampling=computed, return_token_ids=True)
    assert status == 200
    assert again["prompt_token_ids"] == [*expanded, *said["token_ids"], single[-1]]
    for row, written in zip(again["prompt_logprobs"][-4:-1], said["logprobs"]["content"], strict=True):
        assert row[str(place)]["logprob"] == pytest.approx(written["logprob"], abs=1e-3)


async def test_an_image_is_known_by_its_name_once_it_was_sent(seeing_pair: PairConfig) -> None:
    """Guards the words that tell a client to send it again (`inference._DROPPED`)."""
    green = drawing("green", (56, 84))
    _, single = await rendered(seeing_pair, RED)
    status, refused = await generate(seeing_pair, single, [part(green, sent=False)])
    assert status == 400
    assert "Cache miss for image" in refused["error"]["message"]
    _, first = await generate(seeing_pair, single, [part(green)])
    status, second = await generate(seeing_pair, single, [part(green, sent=False)])
    assert (status, second["choices"][0]["token_ids"]) == (200, first["choices"][0]["token_ids"])


async def test_a_stream_and_a_whole_answer_are_the_same_tokens(pair: Pair, seeing_pair: PairConfig) -> None:
    """Guards ledgers: the client streams, and takes ids from there."""
    _, single = await rendered(seeing_pair, RED)
    _, whole = await generate(seeing_pair, single, [part(RED)], sampling={"max_tokens": 16})
    said = whole["choices"][0]
    opened = await opening_of(pair, RED, text="What is it?")
    assert list(opened.ids) == single, "and what the client renders is what the server does"
    greedy = Sampling(temperature=0.0, top_p=1.0, seed=0)
    stream = pair.base.generate(opened.ids, max_tokens=16, sampling=greedy)
    streamed = [token async for token in stream if isinstance(token, Token)]
    assert [token.id for token in streamed] == said["token_ids"]
    assert [token.logprob for token in streamed] == pytest.approx(
        [row["logprob"] for row in said["logprobs"]["content"]], abs=1e-4
    )


async def test_log_probabilities_are_those_of_a_full_recomputation(seeing_pair: PairConfig) -> None:
    """Guards the judge: what is read behind a cached image is what `prompt_logprobs` computes from the beginning."""
    _, single = await rendered(seeing_pair, RED)
    _, answer = await generate(seeing_pair, single, [part(RED)], sampling={"max_tokens": 12})
    said = answer["choices"][0]
    computed = {"max_tokens": 1, "prompt_logprobs": 1}
    _, again = await generate(seeing_pair, [*single, *said["token_ids"]], [part(RED)], sampling=computed)
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    rows = again["prompt_logprobs"][-12:]
    for row, token, written in zip(rows, said["token_ids"], said["logprobs"]["content"], strict=True):
        assert row[str(token)]["logprob"] == pytest.approx(written["logprob"], abs=1e-3)


def about(*images: Image, text: str) -> HumanMessage:
    blocks: list[Any] = [*map(as_block, images), {"type": "text", "text": text}]
    return HumanMessage(blocks)


async def opening_of(pair: Pair, *images: Image, text: str) -> Any:
    preset = builtin().presets["instruct"].model_copy(update={"prompt": "{question}"})
    messages, taken = await taken_out([about(*images, text=text)], (), {})
    return await opening(pair, "base", messages, preset, images=taken)


async def test_a_run_reads_the_image_once_and_reuses_what_is_behind_it(pair: Pair) -> None:
    """From step to step the judge computes the step and not the question: seen in what the server counts as cached."""
    settings = Settings(**RANDOM, reasoning_budget=420, step_tokens=100, answer_budget=8, hedge=False)
    graph = create_specreason(pair=pair, settings=settings).compile()
    state = await graph.ainvoke({"messages": [about(RED, text=LONG)]})
    steps = state["specreason_steps"]
    print([(step["source"], step["judge_tokens"], step["cached_tokens"]) for step in steps])
    assert len(steps) >= 4
    for before, step in pairwise(steps):
        cached, read = step["cached_tokens"]["judge"], step["judge_tokens"]
        spots = len(step["spots"] or [])
        assert cached is not None
        assert spots > 1
        # Each spot's prompt is behind the same prefix, of which at most a block is computed again, and its own step.
        assert read - cached <= spots * (BLOCK + 100 + before["draft_tokens"])
        assert cached >= read / 2
    assert state["specreason_usage"]["judge"]["cached_tokens"] > 0


async def test_overlap_does_not_change_what_is_kept(pair: Pair) -> None:
    """Guards look-ahead and hedge with images: the same greedy steps, whoever was streaming beside them."""
    kept = []
    for overlap in (False, True):
        settings = Settings(**RANDOM, reasoning_budget=64, step_tokens=16, answer_budget=8)
        settings = settings.overridden(by={"look_ahead": overlap, "hedge": overlap})
        graph = create_specreason(pair=pair, settings=settings).compile()
        state = await graph.ainvoke({"messages": [about(BLUE, text="What is it?")]})
        kept.append([step["ids"] for step in state["specreason_steps"]])
    assert kept[0] == kept[1]


async def test_two_images_and_another_kind_of_file(pair: Pair) -> None:
    blocks: list[Any] = [
        as_block(RED),
        {"type": "image_url", "image_url": {"url": image(file("blue", kind="JPEG")).url}},
    ]
    settings = Settings(**RANDOM, reasoning_budget=32, step_tokens=16, answer_budget=8)
    graph = create_specreason(pair=pair, settings=settings).compile()
    state = await graph.ainvoke({"messages": [HumanMessage([*blocks, {"type": "text", "text": "And these?"}])]})
    assert state["specreason_done"]
    assert state["specreason_steps"]
