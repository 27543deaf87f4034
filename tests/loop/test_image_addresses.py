"""Runs whose images are named by an address: fetched by us, once a run, and the same when it is resumed."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import ConfigError, Pair, create_specreason
from specreason_graph.testing import Fault
from specreason_graph.testing.inference import INFERENCE

from .test_images import BLUE, RED, pair_of, server, shown


@pytest.fixture
def asked_for() -> list[str]:
    """What was fetched from there."""
    return []


@pytest.fixture
async def site(asked_for: list[str]) -> AsyncIterator[tuple[str, list[bytes]]]:
    """An address, and what is there."""
    there = [RED]

    async def answer(request: web.Request) -> web.StreamResponse:
        asked_for.append(request.path)
        if request.path == "/gone.png":
            return web.Response(status=403)
        return web.Response(body=there[0])

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        yield f"http://{server.host}:{server.port}", there


async def test_an_image_by_address_has_to_be_the_same_one_on_resume(site: tuple[str, list[bytes]]) -> None:
    """And a run that was refused for it goes on once the image is back: what was seen in between is forgotten."""
    url, there = site
    thread: Any = {"configurable": {"thread_id": "t"}}
    asked = HumanMessage([{"type": "image", "url": f"{url}/images/a.png"}, "What is it?"])
    async with pair_of(server("base"), server("draft"), image_urls=(f"{url}/images",)) as (_, pair):
        saver = InMemorySaver()
        graph = create_specreason(pair=pair).compile(checkpointer=saver, interrupt_before=["regenerate"])
        await graph.ainvoke({"messages": [asked]}, thread)
        async with Pair(pair.config) as another:
            resumed = create_specreason(pair=another).compile(checkpointer=saver)
            there[0] = BLUE
            with pytest.raises(ConfigError, match="began on other prompts"):
                await resumed.ainvoke(None, thread)
            there[0] = b"<html>"
            with pytest.raises(ConfigError, match="no PNG"):
                await resumed.ainvoke(None, thread)
            there[0] = RED
            state = await resumed.ainvoke(None, thread)
    assert state["messages"][-1].text == "12"
    assert state["messages"][0].content == asked.content


@pytest.mark.parametrize("path", [None, INFERENCE])
async def test_an_image_by_address_is_fetched_once_a_run(
    path: str | None, site: tuple[str, list[bytes]], asked_for: list[str]
) -> None:
    """Also where the draft is gone, which every node tries again, and where it is shown twice."""
    url, _ = site
    block: Any = {"type": "image", "url": f"{url}/images/a.png"}
    async with pair_of(server("base"), server("draft"), image_urls=(f"{url}/images",)) as (servers, pair):
        graph = create_specreason(pair=pair).compile()
        await graph.ainvoke({"messages": [shown(BLUE)]})
        if path is not None:
            servers.draft.fail(Fault("status", status=500), path=path, times=None)
        state = await graph.ainvoke({"messages": [HumanMessage([block, block, "What is it?"])]})
    assert state["messages"][-1].text == "12"
    assert asked_for == ["/images/a.png"]


@pytest.mark.parametrize(
    "lost", [{"url": "SITE/gone.png"}, {"url": "https://else.example/a.png"}, {"file_id": "file-1"}]
)
async def test_an_earlier_image_that_can_not_be_had_any_more_stops_no_question(
    lost: dict[str, str], site: tuple[str, list[bytes]]
) -> None:
    """Guards long conversations, whose addresses expire; in the question itself it is refused."""
    url, _ = site
    block: Any = {"type": "image", **{name: value.replace("SITE", url) for name, value in lost.items()}}
    before: list[AnyMessage] = [HumanMessage([block, "What is it?"]), AIMessage("A red square.")]
    async with pair_of(server("base"), server("draft"), image_urls=(url,)) as (servers, pair):
        graph = create_specreason(pair=pair).compile()
        state = await graph.ainvoke({"messages": [*before, shown(BLUE)]})
        told = [record.body for record in servers.base.requests if record.path == INFERENCE][-1]
        with pytest.raises(ConfigError):
            await graph.ainvoke({"messages": [*before, *before[:1]]})
    assert state["messages"][-1].text == "12"
    assert [part["uuid"] for part in told["content_parts"]] == [hashlib.sha256(BLUE).hexdigest()]
