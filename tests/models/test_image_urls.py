"""Images by address: nothing is fetched that nobody allowed, from nowhere else, and no more than an image has."""

from __future__ import annotations

import asyncio
import gzip
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from drawings import file

from specreason_graph import ConfigError
from specreason_graph.models import image_urls
from specreason_graph.models.image_urls import fetch_all, fetched, is_allowed
from specreason_graph.use.gateway.refusal import refusal

ALLOWED = ("https://example.com/images", "http://other.example:8080")


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://example.com/images/a.png", True),
        ("https://example.com/images", True),
        ("http://other.example:8080/x?y=1", True),
        ("https://example.com/images-of-others/a.png", False),
        ("https://example.com/images/../secret", False),
        ("https://example.com/images/%2e%2e/secret", False),
        ("https://example.com/images%2F..%2Fsecret", False),
        ("https://example.com/images/..%2fsecret", False),
        ("https://example.com/images/%252e%252e/secret", False),
        ("https://example.com/images/..;/secret", False),
        ("https://example.com/images/%5c..%5csecret", False),
        ("https://example.com:443/images/a.png", True),
        ("HTTPS://EXAMPLE.com/images/a.png", True),
        ("https://example.com./images/a.png", False),
        ("https://:pw@example.com/images/a.png", False),
        ("https://example.com:8443/images/a.png", False),
        ("http://example.com/images/a.png", False),
        ("https://example.com.evil.example/images/a.png", False),
        ("https://example.com@evil.example/images/a.png", False),
        ("https://user:pw@example.com/images/a.png", False),
        ("http://other.example/x", False),
        ("http://127.0.0.1:8000/metrics", False),
        ("file:///etc/passwd", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_an_address_is_allowed_as_a_whole(url: str, may: bool) -> None:
    """Guards the server's own network, into which a message could send us otherwise."""
    assert is_allowed(ALLOWED, url) is may


@pytest.fixture
async def site() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/images/red.png":
                return web.Response(body=file("red"))
            case "/images/packed":
                packed = gzip.compress(bytes(2**20))
                return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
            case "/images/away":
                return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/secret"})
        return web.Response(status=404)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


async def test_what_is_allowed_is_fetched(site: str) -> None:
    assert await fetched([f"{site}/images"], f"{site}/images/red.png") == file("red")


@pytest.mark.parametrize(("allowed", "where"), [((), "from nowhere"), (ALLOWED, "only from the addresses in it")])
async def test_nothing_is_fetched_by_default(allowed: tuple[str, ...], where: str) -> None:
    says = f"image_urls: images are fetched {where}; send the image as base64, or allow its address"
    with pytest.raises(ConfigError, match=says) as refused:
        await fetched(allowed, "https://else.example/a.png")
    assert refusal(refused.value, "1").document["error"]["message"] == str(refused.value), "a client is told all of it"


@pytest.mark.parametrize(("path", "says"), [("away", "answered 302"), ("nothing", "answered 404")])
async def test_an_address_that_leads_elsewhere_is_not_followed(site: str, path: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        await fetched([f"{site}/images"], f"{site}/images/{path}")


async def test_a_host_that_is_gone_is_told_without_what_it_said() -> None:
    with pytest.raises(ConfigError, match=r"can't be fetched from 127\.0\.0\.1; send it as base64"):
        await fetched(["http://127.0.0.1:1"], "http://127.0.0.1:1/a.png")


async def test_no_more_is_read_than_an_image_may_have(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_urls, "MOST_BYTES", 10)
    monkeypatch.setattr(image_urls, "_PART", 16)
    assert 10 < len(await fetched([f"{site}/images"], f"{site}/images/red.png")) <= 32


async def test_nothing_is_unpacked(site: str) -> None:
    """Guards memory: a few bytes may unpack to as many as somebody likes."""
    assert len(await fetched([f"{site}/images"], f"{site}/images/packed")) < 2**12


async def test_some_are_fetched_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Counter[str] = Counter()

    async def slowly(allowed: object, url: str) -> bytes:
        seen["now"] += 1
        seen["most"] = max(seen["most"], seen["now"])
        await asyncio.sleep(0.01)
        seen["now"] -= 1
        return url.encode()

    monkeypatch.setattr(image_urls, "fetched", slowly)
    urls, known = [f"https://x/{at}" for at in range(20)], {"https://y": b"y"}
    await fetch_all((), urls, known, within=1000)
    assert known == {"https://y": b"y", **{url: url.encode() for url in urls}}
    assert seen["most"] == 8


async def test_the_first_that_fails_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    async def fetch(allowed: object, url: str) -> bytes:
        if url == "bad":
            raise ConfigError("bad")
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(url)
        return b""

    monkeypatch.setattr(image_urls, "fetched", fetch)
    with pytest.raises(ConfigError, match=r"^bad$"):
        await fetch_all((), ["a", "b", "bad", *"cdefghij"], {}, within=1000)
    assert set(ended) <= {*"abcdefgh"}
    assert {"a", "b"} <= set(ended)


async def test_all_that_is_fetched_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guards memory: an address is a few letters, and hundreds of them fit into a request."""
    fetching: list[str] = []

    async def fetch(allowed: object, url: str) -> bytes:
        fetching.append(url)
        await asyncio.sleep(0)
        return bytes(10)

    monkeypatch.setattr(image_urls, "fetched", fetch)
    with pytest.raises(ConfigError, match="more than 25 bytes together; send fewer"):
        await fetch_all((), [str(at) for at in range(200)], {}, within=25)
    assert len(fetching) < 20
