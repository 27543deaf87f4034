"""Whatever goes wrong at the wire, a client gives the answer or one error of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import EndpointError, SpecReasonError
from specreason_graph.endpoint import Endpoint, connect
from specreason_graph.endpoint.protocol import Marker
from specreason_graph.testing import FaultProxy, WireFault
from specreason_graph.testing.wire_fault import KINDS, WireFaultKind

from .contract import collected
from .fakes import ASKED, llama, odd_server
from .test_llamacpp import EVENT, LAST

OF_LOGPROBS = ("no_logprobs", "null_logprobs", "nan_logprobs", "infinite_logprobs")
WITHOUT = {"/tokenize": OF_LOGPROBS, "/detokenize": (*OF_LOGPROBS, "empty_choices"), "/v1/models": OF_LOGPROBS}
"""Faults that a path's answers have nothing for."""

_Answer = TypeVar("_Answer")

IN_STREAMS: tuple[WireFaultKind, ...] = ("reset", "stall", "truncate", "garbage", "status", "vanish")
FAULTS = [*(WireFault(kind) for kind in KINDS), *(WireFault(kind, after=3) for kind in IN_STREAMS)]
PASSING = {"refuse", "reset", "stall", "drip", "truncate", "garbage", "status"}
"""What a stream gets over where it strikes once."""


def timeout(kind: WireFaultKind | None) -> float:
    """Seconds; short where it is waited for."""
    return 0.7 if kind == "stall" else 20.0


@asynccontextmanager
async def spoiled(kind: WireFaultKind | None = None) -> AsyncIterator[tuple[FaultProxy, Endpoint]]:
    """A client of a server behind the proxy, that knows the server already."""
    async with odd_server() as server, FaultProxy(server.url) as proxy:
        changes = {"base_url": proxy.url, "timeout": timeout(kind), "patience": 1.0}
        endpoint = connect("base", server.config.model_copy(update=changes))
        try:
            await endpoint.card()
            yield proxy, endpoint
        finally:
            await endpoint.aclose()


async def everything(endpoint: Endpoint, path: str) -> Any:
    """What is asked of a server on a path."""
    if path == "/v1/models":
        return await connected_anew(endpoint)
    if path == "/tokenize":
        return await endpoint.render(ASKED, {}), await endpoint.encode("A cow.", control=True)
    if path == "/detokenize":
        return await endpoint.decode([5, 6, 7])
    return (await endpoint.read([[5, 6, 7], [5, 6]])).items


async def connected_anew(endpoint: Endpoint) -> Any:
    proxied = endpoint.name.rpartition(" ")[2]
    async with odd_server() as server:
        other = connect("base", server.config.model_copy(update={"base_url": proxied, "timeout": 1.5, "patience": 1}))
    try:
        return await other.card()
    finally:
        await other.aclose()


async def outcome(asked: Callable[[], Awaitable[_Answer]]) -> tuple[_Answer | None, SpecReasonError | None]:
    """An answer, or an error of ours."""
    try:
        return await asked(), None
    except SpecReasonError as error:
        return None, error


@pytest.mark.parametrize("fault", FAULTS, ids=lambda it: f"{it.kind}-{it.after}")
@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
async def test_a_stream_comes_to_its_end_or_to_an_error(fault: WireFault, times: int | None) -> None:
    """Guards runs: the generation is that of a server without faults, or there is none."""
    async with spoiled(fault.kind) as (proxy, endpoint):
        prompt = await endpoint.render(ASKED, {})
        close = Marker("</think>", (await endpoint.encode("</think>", control=True)).ids[0])
        whole = await collected(endpoint, prompt, boundary="\n\n", close=close)
        proxy.fail(fault, path="/v1/completions", times=times)
        found, error = await outcome(lambda: collected(endpoint, prompt, boundary="\n\n", close=close))
        assert error is None or str(error).startswith(f"base endpoint {proxy.url}")
        assert found is None or (found.tokens, found.end.why) == (whole.tokens, whole.end.why)
        is_over = fault.kind == "drip" or (times == 1 and fault.kind in PASSING and fault != WireFault("stall"))
        assert (error is None) == is_over


@pytest.mark.parametrize("path", ["/v1/completions", "/tokenize", "/detokenize", "/v1/models"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_answer_comes_or_an_error(kind: WireFaultKind, path: str) -> None:
    """Guards judges, prompts and starts in the same way."""
    async with spoiled(kind) as (proxy, endpoint):
        expected = await everything(endpoint, path)
        proxy.fail(WireFault(kind), path=path, times=None)
        found, error = await outcome(lambda: everything(endpoint, path))
        assert error is None or str(error).startswith(f"base endpoint {proxy.url}")
        assert error or found == expected
        touches = kind not in WITHOUT.get(path, ())
        assert (error is None) == (kind == "drip" or not touches)


LLAMA = {
    "/completion": [EVENT, LAST],
    "/apply-template": {"prompt": "How many?"},
    "/tokenize": {"tokens": [{"id": 7, "piece": "A"}]},
    "/detokenize": {"content": "Aa"},
}


@pytest.mark.parametrize("path", ["/completion", "/apply-template", "/tokenize", "/detokenize", "/props"])
@pytest.mark.parametrize("kind", KINDS)
async def test_llama_cpp_behind_the_same_faults(kind: WireFaultKind, path: str) -> None:
    """Guards the other dialect: no field is read before it is looked at."""

    async def asked(config: EndpointConfig) -> Any:
        endpoint = connect("base", config)
        try:
            written = await collected(endpoint, [1])
            return written, await endpoint.encode("A"), await endpoint.decode([7]), await endpoint.card()
        finally:
            await endpoint.aclose()

    async def rendered(config: EndpointConfig) -> Any:
        endpoint = connect("base", config)
        try:
            return await endpoint.render(ASKED, {})
        finally:
            await endpoint.aclose()

    plain_ids = {**LLAMA, "/tokenize": {"tokens": [7, 8]}}
    question, answers = (rendered, plain_ids) if path == "/apply-template" else (asked, LLAMA)
    async with llama(answers) as config, FaultProxy(config.base_url) as proxy:
        proxied = config.model_copy(update={"base_url": proxy.url, "timeout": timeout(kind), "patience": 0.3})
        expected = await question(proxied)
        proxy.fail(WireFault(kind), path=path, times=None)
        found, error = await outcome(lambda: question(proxied))
    assert error is None or str(error).startswith(f"base endpoint {proxy.url}")
    assert error or found == expected


async def test_a_server_that_restarts_answers_as_soon_as_it_is_back() -> None:
    """Guards deployments: refused connections are waited out, and then all is as before."""
    async with spoiled() as (proxy, endpoint):
        expected = (await endpoint.read([[5, 6, 7]])).items
        await proxy.stop()
        with pytest.raises(EndpointError, match=r"can't be reached"):
            await endpoint.read([[5, 6, 7]])
        await proxy.start()
        found, error = await outcome(lambda: endpoint.read([[5, 6, 7]]))
        if error is not None:
            assert isinstance(error, EndpointError)
            assert error.retry_after is not None
            await asyncio.sleep(error.retry_after)
            found, error = await outcome(lambda: endpoint.read([[5, 6, 7]]))
        assert found is not None
        assert found.items == expected
