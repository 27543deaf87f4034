"""Gets the GGUF files of a model pair, and checks them; `weights.toml` says which there are and what they must be."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import platformdirs

from specreason_graph.contract.errors import ConfigError, WeightsError
from specreason_graph.models import sources
from specreason_graph.models.fetching import Model, fetch, is_right

Progress = Callable[[str, int, int], None]

_MANIFEST = resources.files(__package__) / "weights.toml"


@dataclass(frozen=True)
class PairFiles:
    """The GGUF files of a base model and its draft model."""

    base: Path
    draft: Path


def pull(pair: str = "qwen2.5-coder", *, cache: Path | None = None, progress: Progress = lambda *_: None) -> PairFiles:
    """Fetch the files of `pair` unless they are there, and check them against their SHA-256.

    They live in `cache`, else in the folder that `SPECREASON_CACHE` names, else in the user's cache. A pull that was
    cut short is continued. Blocks, in an event loop of its own: async code calls it through `asyncio.to_thread`.
    `progress` gets a model's file name, the bytes of it that have arrived and the bytes there are to fetch.

    Raises:
        ConfigError: no such pair is known, or an address is none.
        WeightsError: a file can't be fetched or stored, or is not the one its checksum says.
    """
    manifest = tomllib.loads(_MANIFEST.read_text(encoding="utf-8"))
    if pair not in manifest["pairs"]:
        raise ConfigError(f"no pair is called {pair!r}; known pairs: {', '.join(manifest['pairs'])}")
    models = [Model(**manifest["models"][manifest["pairs"][pair][role]]) for role in ("base", "draft")]
    folder = cache or Path(os.environ.get("SPECREASON_CACHE") or platformdirs.user_cache_path("specreason"))
    try:
        if not all(is_right(model, folder / model.file) for model in models):
            with _alone(folder):
                # Another process may have fetched them while this one waited.
                if missing := [model for model in models if not is_right(model, folder / model.file)]:
                    asyncio.run(fetch(missing, folder, sources.hub(), sources.index(), progress))
    except OSError as error:
        raise WeightsError(f"can't keep models in {folder}: {error}") from error
    return PairFiles(*(folder / model.file for model in models))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.getLogger(__name__).warning("waiting for another process that fetches models into %s", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
