"""Weights are fetched once, whoever asks, and what lies there is checked."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import tomllib
from pathlib import Path

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.models import fetching, weights
from specreason_graph.models.fetching import Model
from specreason_graph.models.weights import pull

from .mirror import BASE, HUB_BASE, HUB_DRAFT, Mirror, fetch


async def test_a_second_pull_neither_asks_nor_hashes(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await fetch()
    mirror.asked.clear()
    monkeypatch.setattr(fetching, "_sha256", lambda path: pytest.fail(f"hashed {path}"))
    assert await fetch() == first
    assert not mirror.asked


async def test_a_file_changed_since_is_fetched_again(mirror: Mirror) -> None:
    (await fetch()).base.write_bytes(BASE[:-1] + b"?")
    assert (await fetch()).base.read_bytes() == BASE
    assert mirror.counts() == {HUB_BASE: 2, HUB_DRAFT: 1}


async def test_a_file_copied_there_is_checked_and_kept(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/base.gguf").write_bytes(BASE)
    assert (await fetch()).base.read_bytes() == BASE
    assert mirror.counts() == {HUB_DRAFT: 1}


async def test_two_pulls_at_once_fetch_once(no_hub: Mirror) -> None:
    one, other = await asyncio.gather(fetch(), fetch())
    assert one.base.read_bytes() == other.base.read_bytes() == BASE
    assert set(no_hub.counts().values()) == {1}


async def test_a_pull_waits_for_another_process(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").mkdir()
    waits, loop = asyncio.Event(), asyncio.get_running_loop()

    def told(_: logging.LogRecord) -> bool:
        loop.call_soon_threadsafe(waits.set)
        return False

    monkeypatch.setattr(logging.getLogger("specreason_graph.models.weights"), "filters", [told])
    with (tmp_path / "cache/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pulling = asyncio.create_task(fetch())
        await waits.wait()
        assert not mirror.asked
    await pulling
    assert mirror.counts() == {HUB_BASE: 1, HUB_DRAFT: 1}


def test_an_unknown_pair_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"'nope'.*qwen2\.5-coder, cross-tokenizer"):
        pull("nope")


def test_the_manifest_names_whole_models() -> None:
    manifest = tomllib.loads(weights._MANIFEST.read_text(encoding="utf-8"))
    for pair in manifest["pairs"].values():
        for role in ("base", "draft"):
            entry = Model(**manifest["models"][pair[role]])
            assert len(bytes.fromhex(entry.sha256)) == 32
            assert entry.file.endswith(".gguf")
