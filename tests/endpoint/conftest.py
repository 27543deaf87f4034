"""The engines that the contract is run on, each opened for one test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, nullcontext

import pytest

from .contract import Engine, Opened, llamacpp, scripted, vllm

SCRIPTED = {
    "a-instruct": scripted("a", "instruct"),
    "a-think": scripted("a", "think"),
    "b-instruct": scripted("b", "instruct"),
    "b-qwen3": scripted("b", "qwen3"),
    # As vLLM sends tokens when it decodes speculatively or its client lags: five an event, or as it comes.
    "a-think-5": scripted("a", "think", tokens_per_event=5),
    "a-instruct-any": scripted("a", "instruct", tokens_per_event=0),
    "b-qwen3-any": scripted("b", "qwen3", tokens_per_event=0),
}
LLAMACPP = pytest.param("llamacpp", marks=pytest.mark.real_models)
VLLM = pytest.param("vllm", marks=[pytest.mark.real_vllm, pytest.mark.timeout(900)])


@pytest.fixture(scope="module", params=[*SCRIPTED, LLAMACPP, VLLM])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    engine: AbstractContextManager[Opened]
    if request.param == "llamacpp":
        engine = llamacpp()
    elif request.param == "vllm":
        engine = vllm(request.getfixturevalue("vllm_pair").base)
    else:
        engine = nullcontext(SCRIPTED[request.param])
    with engine as it:
        yield it


@pytest.fixture
async def engine(opened: Opened) -> AsyncIterator[Engine]:
    async with opened() as it:
        yield it
