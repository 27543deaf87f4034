"""The embedded pair answers all that the llama.cpp dialect asks, and is gone when its block is left."""

from __future__ import annotations

import json
import math
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from yarl import URL

from specreason_graph.contract.config import EndpointConfig, PairConfig
from specreason_graph.contract.errors import ConfigError
from specreason_graph.models.embedded import embedded_pair
from specreason_graph.models.weights import PairFiles, pull

CONTEXT = 1024
real_models = pytest.mark.real_models


@pytest.fixture(scope="module")
def files() -> PairFiles:
    return pull("cross-tokenizer")


@pytest.fixture(scope="module")
def pair(files: PairFiles) -> Iterator[PairConfig]:
    with embedded_pair(files, preset="some", context=CONTEXT, threads=2) as config:
        yield config


@pytest.fixture
async def draft(pair: PairConfig) -> AsyncIterator[aiohttp.ClientSession]:
    async with client(pair.draft) as session:
        yield session


def client(endpoint: EndpointConfig) -> aiohttp.ClientSession:
    assert endpoint.api_key is not None
    key = {"Authorization": f"Bearer {endpoint.api_key.get_secret_value()}"}
    return aiohttp.ClientSession(endpoint.base_url, headers=key)


async def post(session: aiohttp.ClientSession, path: str, **body: Any) -> Any:
    async with session.post(path, json=body) as answer:
        return await answer.json()


async def encode(session: aiohttp.ClientSession, text: str) -> list[int]:
    ids: list[int] = (await post(session, "/tokenize", content=text, parse_special=True))["tokens"]
    return ids


def refuses(address: str) -> bool:
    url = URL(address)
    try:
        socket.create_connection((str(url.host), int(url.port or 0))).close()
    except ConnectionRefusedError:
        return True
    return False


@real_models
async def test_both_models_are_served_under_their_names_with_the_context_asked_for(
    pair: PairConfig, files: PairFiles
) -> None:
    assert pair.preset == "some"
    for endpoint, file in ((pair.base, files.base), (pair.draft, files.draft)):
        assert (endpoint.model, endpoint.dialect) == (file.stem, "llamacpp")
        async with client(endpoint) as session:
            async with session.get("/v1/models") as answer:
                assert [model["id"] for model in (await answer.json())["data"]] == [file.stem]
            async with session.get("/props") as answer:
                props = await answer.json()
            assert (props["total_slots"], props["default_generation_settings"]["n_ctx"]) == (1, CONTEXT)


@real_models
async def test_a_stranger_without_the_key_is_refused(pair: PairConfig) -> None:
    async with aiohttp.ClientSession(pair.base.base_url) as session, session.get("/v1/models") as answer:
        assert answer.status == 401


@real_models
async def test_a_rendered_question_is_what_the_server_itself_reads(draft: aiohttp.ClientSession) -> None:
    messages = [{"role": "user", "content": "What is 2 + 3?"}]
    text = (await post(draft, "/apply-template", messages=messages))["prompt"]
    assert text.endswith("<|im_start|>assistant\n")
    ids = await encode(draft, text)
    assert (await post(draft, "/detokenize", tokens=ids))["content"] == text
    chat = await post(draft, "/v1/chat/completions", messages=messages, max_tokens=1)
    assert chat["usage"]["prompt_tokens"] == len(ids)
    assert chat["timings"]["cache_n"] < len(ids) - 1
    again = await post(draft, "/completion", prompt=ids, n_predict=1)
    assert again["timings"]["cache_n"] == len(ids) - 1


@real_models
async def test_a_step_comes_with_all_its_ids_those_of_the_stop_string_too(draft: aiohttp.ClientSession) -> None:
    prompt = await encode(draft, "One. Two.\n\nOne. Two.\n\nOne. Two.\n\nOne.")
    body = {"prompt": prompt, "n_predict": 20, "temperature": 0, "stop": ["\n\n"], "return_tokens": True}
    step = await post(draft, "/completion", **body)
    assert (step["stop_type"], step["stopping_word"], step["content"]) == ("word", "\n\n", " Two.")
    assert (await post(draft, "/detokenize", tokens=step["tokens"]))["content"] == " Two.\n\n"


@real_models
async def test_a_list_of_prompts_is_read_behind_one_prefix_with_whole_distributions(
    draft: aiohttp.ClientSession,
) -> None:
    ids = await encode(draft, "The capital of France is Paris. The capital of Spain is Madrid.")
    prompts = [ids[:4], ids[:8], ids]
    results = await post(draft, "/completion", prompt=prompts, n_predict=1, n_probs=500, temperature=0)
    assert [result["tokens_evaluated"] for result in results] == [4, 8, len(ids)]
    assert [result["timings"]["cache_n"] for result in results[1:]] == [4, 8]
    for result in results:
        top = result["completion_probabilities"][0]["top_logprobs"]
        assert len(top) == 500
        assert 0.9 < sum(math.exp(entry["logprob"]) for entry in top) <= 1.001


@real_models
async def test_a_prompt_beyond_the_context_is_refused_by_name(draft: aiohttp.ClientSession) -> None:
    error = (await post(draft, "/completion", prompt=[1] * (CONTEXT + 1), n_predict=1))["error"]
    assert (error["code"], error["type"]) == (400, "exceed_context_size_error")
    assert (error["n_prompt_tokens"], error["n_ctx"]) == (CONTEXT + 1, CONTEXT)


@real_models
async def test_closing_a_stream_stops_its_generation(draft: aiohttp.ClientSession) -> None:
    body = {"prompt": "Once upon a time", "n_predict": CONTEXT, "ignore_eos": True, "stream": True}
    async with draft.post("/completion", json=body) as answer:
        assert json.loads((await answer.content.readline()).removeprefix(b"data: "))["tokens"]
        answer.close()
    decoded = 0
    while True:
        async with draft.get("/slots") as answer:
            [slot] = await answer.json()
        if not slot["is_processing"]:
            break
        decoded = slot["next_token"][0]["n_decoded"]
    assert decoded < CONTEXT / 2


@real_models
def test_leaving_the_block_stops_both_and_nothing_was_printed(
    files: PairFiles, capfd: pytest.CaptureFixture[str]
) -> None:
    with embedded_pair(files, context=256) as config:
        addresses = [config.base.base_url, config.draft.base_url]
        assert not any(refuses(address) for address in addresses)
    assert all(refuses(address) for address in addresses)
    assert capfd.readouterr() == ("", "")


@real_models
@pytest.mark.parametrize("fault", ["context", "damage"])
def test_the_first_is_stopped_when_the_second_cannot_start(
    files: PairFiles, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import xllamacpp

    started: list[str] = []

    def start(params: Any, start: Any = xllamacpp.Server) -> Any:
        server = start(params)
        started.append(server.listening_address)
        return server

    monkeypatch.setattr(xllamacpp, "Server", start)
    small, context, message = files.draft, 16384, f"{files.draft} was trained for a context of 8192 tokens"
    if fault == "damage":
        small, context, message = tmp_path / "cut.gguf", 256, "cut.gguf: damaged"
        small.write_bytes(files.draft.read_bytes()[:100_000])
    with (
        pytest.raises(ConfigError, match=message),
        embedded_pair(PairFiles(files.base, small), context=context),
    ):
        pytest.fail("the block was entered")
    assert started
    assert all(refuses(address) for address in started)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_cannot_be_a_model_is_named_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", SimpleNamespace())
    fine, text = tmp_path / "fine.gguf", tmp_path / "text.gguf"
    fine.write_bytes(b"GGUF")
    text.write_text("not a model")
    for bad, message in ((text, "text.gguf is not a GGUF file"), (tmp_path / "none.gguf", "none.gguf: No such file")):
        with pytest.raises(ConfigError, match=message), embedded_pair(PairFiles(fine, bad)):
            pytest.fail("the block was entered")


def test_without_llama_cpp_the_way_to_get_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with (
        pytest.raises(ConfigError, match=r"specreason-graph\[embedded\].*SPECREASON_BASE_URL"),
        embedded_pair(PairFiles(tmp_path, tmp_path)),
    ):
        pytest.fail("the block was entered")
