"""Serves a pair of GGUF files from this process, with llama.cpp: the demo and the tests without a GPU."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from specreason_graph.contract.config import EndpointConfig, PairConfig
from specreason_graph.contract.errors import ConfigError
from specreason_graph.models.weights import PairFiles


@contextmanager
def embedded_pair(
    files: PairFiles, *, preset: str | None = None, context: int = 8192, threads: int | None = None, slots: int = 1
) -> Iterator[PairConfig]:
    """Serve both models on free loopback ports, behind a random key, until the block is left.

    Each server answers `slots` requests at a time, each with `context` tokens (rounded up to a multiple of 256) for
    prompt and answer together, and runs on `threads` threads (None: one a core). Four at a time give about twice the
    tokens a second of one at a time. Models are served under their files' names
    without `.gguf`. Starting and stopping hold up the whole process, and stopping waits for answers that are still
    being written: close clients before leaving the block.

    Raises:
        ConfigError: llama.cpp isn't installed, a file is missing or can't be loaded, or `context` exceeds what a
            model was trained for.
    """
    llama = _llama()
    for path in (files.base, files.draft):
        _check_is_gguf(path)
    key = secrets.token_urlsafe()
    servers: list[Any] = []
    try:
        endpoints = {}
        for role, path in (("base", files.base), ("draft", files.draft)):
            servers.append(_start(llama, path, key, context, threads, slots))
            endpoints[role] = _endpoint(servers[-1].listening_address, path, key, context)
        yield PairConfig(**endpoints, preset=preset)
    finally:
        servers.clear()  # a server has no call that stops it: it stops when nothing refers to it any more


def _llama() -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise ConfigError(
            "the embedded models need llama.cpp: pip install 'specreason-graph[embedded]', or name running servers in "
            "SPECREASON_BASE_URL and SPECREASON_DRAFT_URL"
        ) from error
    return xllamacpp


def _check_is_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ConfigError(f"can't read the model {path}: {error.strerror}") from error
    if magic != b"GGUF":
        raise ConfigError(f"{path} is not a GGUF file")


def _start(llama: Any, path: Path, key: str, context: int, threads: int | None, slots: int) -> Any:
    params = llama.CommonParams()
    params.model.path = str(path)
    params.model_alias = {path.stem}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    params.ui = False
    params.verbosity = -1
    params.prefill_assistant = False  # a reply that a conversation ends with is no beginning of ours
    params.n_ctx = context * slots
    params.n_parallel = slots
    params.cache_ram_mib = 1024  # bounds the prompts kept beside the slot's; by default 8 GiB, for each model
    if threads is not None:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    try:
        return llama.Server(params)
    except RuntimeError as error:
        raise ConfigError(f"llama.cpp can't load {path}: damaged, or of a kind that it doesn't know") from error


def _endpoint(address: str, path: Path, key: str, context: int) -> EndpointConfig:
    with closing(HTTPConnection(address.removeprefix("http://"))) as server:
        server.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
        [model] = json.load(server.getresponse())["data"]
    trained = model["meta"]["n_ctx_train"]
    if context > trained:
        raise ConfigError(f"{path} was trained for a context of {trained} tokens; {context} were asked for")
    return EndpointConfig(base_url=address, model=model["id"], api_key=SecretStr(key), dialect="llamacpp")
