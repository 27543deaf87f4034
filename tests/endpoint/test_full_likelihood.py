"""Every token's likelihood from one prompt: proven against the public ways to the same numbers, or refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import ConfigError
from specreason_graph.endpoint import connect
from specreason_graph.endpoint.full_likelihood import PROVEN
from specreason_graph.endpoint.protocol import Likelihood
from specreason_graph.endpoint.vllm import VllmEndpoint
from specreason_graph.testing import Script, ScriptedServer

from .contract import MATHS, Engine, Opened, scripted, vllm

VLLM = pytest.param("vllm", marks=[pytest.mark.real_vllm, pytest.mark.timeout(900)])


@pytest.fixture(scope="module", params=["scripted", VLLM])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    if request.param == "scripted":
        yield scripted("a", "instruct", scale_out=True)
    else:
        config = request.getfixturevalue("vllm_pair").base
        with vllm(config.model_copy(update={"full_likelihood": True})) as it:
            yield it


@pytest.fixture
async def engine(opened: Opened) -> AsyncIterator[Engine]:
    async with opened() as it:
        yield it


async def read_behind_a_cached_question(engine: Engine) -> tuple[list[int], int, Likelihood]:
    """A question that the server has read already with a step behind it, where the step begins, and its likelihood.

    A real server can't tell it now and then (`full_likelihood`): then another question is asked.
    """
    for longer in range(8):
        messages = [{"role": "user", "content": MATHS * (4 + longer)}]
        question = await engine.endpoint.render(messages, {})
        await engine.endpoint.read([question])
        step = (await engine.endpoint.encode("There are 3 cows with 4 legs each, so 3 * 4 = 11 legs.")).ids
        likelihood = await engine.endpoint.likelihood([*question, *step])
        if likelihood is not None:
            return [*question, *step], len(question), likelihood
    raise AssertionError("the server told none of 8 likelihoods")


async def test_it_equals_reading_each_place(engine: Engine) -> None:
    """Guards policies: evidence means the same whichever way it was read."""
    prompt, start, likelihood = await read_behind_a_cached_question(engine)
    places = [at for at in range(start, len(prompt)) if likelihood.readings[at] is not None]
    assert len(places) >= len(prompt) - start - 1
    readings = await engine.endpoint.read([prompt[:at] for at in places])
    seen = 0
    for at, reading in zip(places, readings.items, strict=True):
        whole = likelihood.readings[at]
        assert whole is not None
        for token in whole.logprobs.keys() & reading.logprobs.keys():
            assert whole.logprobs[token] == pytest.approx(reading.logprobs[token], abs=engine.tolerance)
        seen += prompt[at] in reading.logprobs
        assert len(whole.logprobs) >= 2, "the likeliest token beside the prompt's own is a part of the evidence"
    assert seen >= len(places) // 2


async def test_the_cached_part_is_not_computed_again_and_not_believed(engine: Engine) -> None:
    """Guards the cost, and against the numbers without meaning that a server gives of tokens it did not compute."""
    _, start, likelihood = await read_behind_a_cached_question(engine)
    cached = likelihood.usage.cached_tokens
    assert cached is not None
    assert start - engine.block <= cached <= start
    assert likelihood.readings[: cached + 1] == [None] * (cached + 1)
    assert None not in likelihood.readings[cached + 1 :]


async def test_it_equals_a_full_recomputation(engine: Engine) -> None:
    """Guards the versions in `PROVEN`: `prompt_logprobs` is vLLM's public, slow way to the same numbers."""
    if engine.settled is not None:
        pytest.skip("only a real engine computes anything")
    prompt, start, likelihood = await read_behind_a_cached_question(engine)
    key = engine.config.api_key.get_secret_value() if engine.config.api_key else ""
    body = {"prompt": prompt, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 2}
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as client,
        client.post(f"{engine.config.base_url}/v1/completions", json=body) as response,
    ):
        rows = (await response.json())["choices"][0]["prompt_logprobs"]
    for at in range(start + 1, len(prompt)):
        reading = likelihood.readings[at]
        for token, logprob in reading.logprobs.items() if reading is not None else ():
            assert logprob == pytest.approx(rows[at][str(token)]["logprob"], abs=engine.tolerance)


async def test_other_versions_are_refused() -> None:
    """Guards servers: an untried version may answer with wrong numbers, or die."""
    async with ScriptedServer(Script(["A."]), version="0.33.0", scale_out=True) as server:
        endpoint = VllmEndpoint("base", server.config)
        with pytest.raises(ConfigError, match=rf"is vLLM 0\.33\.0, and full_likelihood is proven on {PROVEN[0]}"):
            await endpoint.likelihood([5, 6, 7])
        await endpoint.aclose()


@pytest.mark.parametrize(
    ("missing", "flag"), [({"scale_out": False}, "--enable-scale-out"), ({"reports_cached": False}, "--enable-prompt")]
)
async def test_a_server_without_what_it_needs_names_the_flag(missing: dict[str, bool], flag: str) -> None:
    async with ScriptedServer(Script(["A."]), **{"scale_out": True, **missing}) as server:  # type: ignore[arg-type]
        endpoint = VllmEndpoint("base", server.config.model_copy(update={"full_likelihood": True}))
        with pytest.raises(ConfigError, match=flag):
            await endpoint.likelihood([5, 6, 7])
        await endpoint.aclose()


async def test_it_is_off_by_default_and_sends_nothing() -> None:
    async with ScriptedServer(Script(["A."])) as server:
        endpoint = connect("base", server.config)
        assert await endpoint.likelihood([5, 6, 7]) is None
        assert not server.requests
        await endpoint.aclose()


def test_no_other_dialect_has_it() -> None:
    with pytest.raises(ValueError, match="full_likelihood is an option of vLLM"):
        EndpointConfig(base_url="http://localhost:1", dialect="llamacpp", full_likelihood=True)
