"""Images that a message only names: they are fetched here or not at all, and never by a model's server."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import aiohttp
from yarl import URL

from specreason_graph.contract.errors import ConfigError
from specreason_graph.models.image_file import MOST_BYTES

_SECONDS = 30.0
_AT_ONCE = 8
_PART = 2**16  # bytes that are read at a time
_CLIMBS = ("..", "\\", "%")  # in a path that is decoded once


def is_allowed(allowed: Sequence[str], url: str) -> bool:
    """Whether an address begins as one of the allowed ones does: its scheme, host and port whole, its path in part.

    A path that some server may read as another one, since it climbs or is encoded twice, begins as none.
    """
    try:
        asked = URL(url)
        odd = asked.user is not None or asked.password is not None or any(sign in asked.path for sign in _CLIMBS)
        return not odd and any(
            _root(asked) == _root(begin) and f"{asked.path}/".startswith(f"{begin.path.rstrip('/')}/")
            for begin in map(URL, allowed)
        )
    except ValueError:
        return False


def _root(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port


class Unavailable(ConfigError):
    """An address is not allowed, or has nothing for us: it may have had an image, when that was asked about."""


async def fetch_all(
    allowed: Sequence[str],
    urls: Sequence[str],
    known: dict[str, bytes],
    *,
    within: int,
    spare: Collection[str] = (),
) -> None:
    """Fetch what is at some addresses, a few at a time; the first that fails ends all.

    Args:
        allowed: how the addresses begin that may be fetched from.
        urls: the addresses, each once.
        known: where what is there is put, by its address.
        within: how many bytes all of them may be.
        spare: those of them that need not be available; of one that is not, no byte is put.

    Raises:
        ConfigError: as `fetched`, or they are more.
    """
    places, size = asyncio.Semaphore(_AT_ONCE), 0

    async def fetch(url: str) -> None:
        nonlocal size
        async with places:
            try:
                known[url] = await fetched(allowed, url)
            except Unavailable:
                if url not in spare:
                    raise
                known[url] = b""
        size += len(known[url])
        if size > within:
            raise ConfigError(f"messages: their images are more than {within} bytes together; send fewer")

    try:
        async with asyncio.TaskGroup() as group:
            for url in urls:
                group.create_task(fetch(url))
    except ExceptionGroup as failed:  # the first failure has cancelled the others
        raise failed.exceptions[0] from None


async def fetched(allowed: Sequence[str], url: str) -> bytes:
    """What is at an address; redirections are not followed, for they could lead anywhere.

    Raises:
        Unavailable: the address is not allowed, or what is there is refused to us (4xx).
        ConfigError: it does not give an image's bytes.
    """
    if not is_allowed(allowed, url):
        where = "only from the addresses in it" if allowed else "from nowhere"
        raise Unavailable(f"image_urls: images are fetched {where}; send the image as base64, or allow its address")
    name = URL(url).host
    try:
        async with (
            # An image is packed as it is: what would be unpacked here might have no end.
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS), auto_decompress=False) as client,
            client.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as response,
        ):
            if response.status != 200:
                error = Unavailable if 400 <= response.status < 500 else ConfigError
                raise error(f"messages: {name} answered {response.status} for an image; send it as base64")
            data = bytearray()
            async for part in response.content.iter_chunked(_PART):
                data += part
                if len(data) > MOST_BYTES:
                    break  # refused where it is looked at
            return bytes(data)
    except (TimeoutError, aiohttp.ClientError, OSError):
        raise ConfigError(f"messages: an image can't be fetched from {name}; send it as base64") from None
