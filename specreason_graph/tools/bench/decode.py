"""Base on a server of its own that decodes speculatively: the pair of its arms, and what vLLM counts of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from operator import sub
from typing import TypedDict

from specreason_graph.contract.config import EndpointConfig, PairConfig, addresses
from specreason_graph.contract.errors import ConfigError, EndpointRefused, checked
from specreason_graph.endpoint.http import Http
from specreason_graph.models.pair import Pair
from specreason_graph.tools.decoding import Counts, counts


class Decoded(TypedDict):
    """What a server has counted over some time; see `Counts`."""

    passes: int
    proposed: int
    accepted: int
    arms: list[str]
    """Whose passes these are: of several arms where their runs went on at the same time."""


class Decoder:
    """The pair with base on the server that decodes; `arms` are those that share it at a time, None: one by one."""

    def __init__(self, pair: Pair, servers: Sequence[Http], seen: Sequence[Counts], arms: Sequence[str] | None) -> None:
        self.pair = pair
        self._servers = servers
        self._seen = seen
        self._arms = arms
        self._lock = asyncio.Lock()

    async def begin(self) -> None:
        """Before a run: what was counted up to here is no part of it, unless it shares the server."""
        if self._arms is None:
            await self._since()

    async def counted(self, arm: str) -> Decoded | None:
        """What was counted since `begin`, or, where runs share the server, since the last of them ended.

        None where a server was started anew meanwhile.
        """
        since = await self._since()
        arms = [arm] if self._arms is None else list(self._arms)
        return None if since is None else Decoded(**since._asdict(), arms=arms)  # type: ignore[typeddict-item]

    async def _since(self) -> Counts | None:
        async with self._lock:
            before, self._seen = self._seen, await read(self._servers)
            return between(before, self._seen)


@asynccontextmanager
async def decoding(pair: Pair, urls: str, arms: Sequence[str], concurrency: int) -> AsyncIterator[Decoder]:
    """The decoder of these arms, once it is certain that it can do its part.

    Args:
        pair: what the other arms run on: model, key and draft are its own.
        urls: addresses of base's server that decodes; several are separated by commas.
        arms: those that run on it.
        concurrency: runs at a time.

    Raises:
        ConfigError: it serves another model, or does not decode speculatively.
        EndpointError: it can't be reached.
    """
    base = pair.config.base
    if base.dialect != "vllm":
        raise ConfigError(
            f"arm: {arms[0]!r} needs vLLM servers: those of llama.cpp do not count what speculative decoding gives"
        )
    name = (await pair.base.card()).name
    config = checked(EndpointConfig, {**base.model_dump(), "replicas": (), **addresses(urls), "model": name})
    servers = [
        Http("decode", config.model_copy(update={"base_url": url})) for url in (config.base_url, *config.replicas)
    ]
    try:
        async with Pair(PairConfig(base=config, draft=pair.config.draft, preset=pair.config.preset)) as own:
            try:
                await own.base.card()
            except ConfigError as error:
                raise ConfigError(f"decode-url: it has to serve base's model {name!r}, but {error}") from None
            yield Decoder(own, servers, await read(servers), arms if concurrency > 1 else None)
    finally:
        for server in servers:
            await server.aclose()


async def read(servers: Iterable[Http]) -> list[Counts]:
    """What each server has counted since it was started.

    Raises:
        ConfigError: one does not decode speculatively.
        EndpointError: one does not answer.
    """
    all_counts = []
    for server in servers:
        try:
            found = counts(await server.text("/metrics"))
        except EndpointRefused as refusal:
            if refusal.status != 404:  # such as metrics that a proxy keeps to itself
                raise
            found = None
        if found is None:
            raise ConfigError(
                f"decode-url: the {server.name} does not decode speculatively (no vllm:spec_decode_num_drafts_total in "
                "its /metrics): start it with `specreason up --decode draft_model` or `--decode ngram`"
            )
        all_counts.append(found)
    return all_counts


def between(before: Sequence[Counts], now: Sequence[Counts]) -> Counts | None:
    """What servers have counted together between two readings; None where one was started anew."""
    gained = [Counts(*map(sub, later, earlier)) for later, earlier in zip(now, before, strict=True)]
    return None if any(min(of_one) < 0 for of_one in gained) else _together(gained)


def counted_tokens_a_pass(decoded: Iterable[Decoded | None], arms: Iterable[str]) -> float | None:
    """Tokens that a pass of base gave in some runs, of the passes that had proposals: vLLM's mean acceptance length.

    Args:
        decoded: what was counted of each run.
        arms: all arms whose runs these are.

    Returns:
        None where it was not counted, or together with other arms, or where nothing was ever proposed.
    """
    own, known = set(arms), []
    for found in decoded:
        if found is None or not own.issuperset(found["arms"]):
            return None
        known.append(Counts(found["passes"], found["proposed"], found["accepted"]))
    means = _together(known).decoding
    return None if means is None else means.tokens_a_pass


def _together(several: Iterable[Counts]) -> Counts:
    return Counts(*map(sum, zip(Counts(0, 0, 0), *several, strict=True)))
