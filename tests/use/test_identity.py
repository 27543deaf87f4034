"""A cache's key: no two pairs share one, and no key is in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from chat import QUESTION, STEPS, served
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.tools import tool
from pydantic import SecretStr

from specreason_graph import ChatSpecReason, EndpointConfig, Pair, PairConfig, Settings
from specreason_graph.judging.catalog import builtin
from specreason_graph.testing import Script


@pytest.fixture
def cache() -> Iterator[InMemoryCache]:
    cache = InMemoryCache()
    set_llm_cache(cache)
    yield cache
    set_llm_cache(None)


@tool
def price(of: str) -> int:
    """The price of something."""
    return len(of)


def pair(base: dict[str, Any] | None = None, draft: dict[str, Any] | None = None, preset: str | None = None) -> Pair:
    address = {"base_url": "http://127.0.0.1:9"}
    return Pair(
        PairConfig(
            base=EndpointConfig(**{**address, **(base or {})}),
            draft=EndpointConfig(**{**address, **(draft or {})}),
            preset=preset,
        )
    )


def key(it: Pair | None = None, call: dict[str, Any] | None = None, **values: Any) -> str:
    return ChatSpecReason(pair=it or pair(), **values)._get_llm_string(**(call or {}))


async def test_two_pairs_do_not_answer_for_each_other(cache: InMemoryCache) -> None:
    async with (
        served(Script(STEPS, answer="small"), Script(STEPS)) as (small, _),
        served(Script(STEPS, answer="big"), Script(STEPS)) as (big, servers),
    ):
        assert (await small.ainvoke(QUESTION)).text == "small"
        assert (await big.ainvoke(QUESTION)).text == "big"
        asked = len(servers.base.requests)
        again = await big.ainvoke(QUESTION)
        assert len(servers.base.requests) == asked
    assert again.text == "big"
    usage: Any = again.usage_metadata
    assert usage["output_tokens"] > 0
    assert usage["total_cost"] == 0


def test_whatever_an_answer_depends_on_is_in_the_key() -> None:
    preset = builtin().preset("thinking", "", "")
    keys = [
        key(),
        key(pair({"base_url": "http://127.0.0.1:8"})),
        key(pair(draft={"base_url": "http://127.0.0.1:8"})),
        key(pair({"replicas": ("http://127.0.0.1:8",)})),
        key(pair({"model": "big"})),
        key(pair(draft={"model": "small"})),
        key(pair({"dialect": "llamacpp"})),
        key(pair({"base_url": "http://ada@127.0.0.1:9"})),
        key(pair({"headers": {"X-Model": SecretStr("big")}})),
        key(pair(preset="thinking")),
        key(settings=Settings(threshold=3)),
        key(max_tokens=3),
        key(call={"stop": ["x"]}),
        key(call={"threshold": 4}),
        key(call={"tools": [price]}),
        key(call={"tools": [price], "tool_choice": "any"}),
        key(call={"response_format": {"type": "json_object"}}),
        key(presets=[preset]),
        key(presets=[preset.model_copy(update={"temperature": 0.1})]),
        key(judges=[builtin().judge("paper").model_copy(update={"threshold": 3.0})]),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == key()
    assert key(call={"threshold": 3}) == key(settings=Settings(threshold=3))
    assert "http://127.0.0.1:9" in key()
    assert '"big"' in key(pair({"model": "big"}))


def test_no_secret_is_in_the_key() -> None:
    sent = {"X-Key": SecretStr("opensesame")}
    told = key(pair({"api_key": "opensesame", "headers": sent}, {"base_url": "http://ada:opensesame@127.0.0.1:9"}))
    assert "opensesame" not in told
    assert "X-Key" not in told
    assert told == key(pair({"api_key": "renewed", "headers": sent}, {"base_url": "http://ada:opensesame@127.0.0.1:9"}))
