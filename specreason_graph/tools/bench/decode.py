"""Base on a server of its own that decodes speculatively: the pair of its arms, and what vLLM counts of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypedDict

from specreason_graph.contract.config import EndpointConfig, PairConfig, addresses
from specreason_graph.contract.errors import ConfigError, EndpointRefused, checked
from specreason_graph.endpoint.http import Http
from specreason_graph.models.pair import Pair
from specreason_graph.tools.extra import extra

_METRICS = {
    "drafts": "vllm:spec_decode_num_drafts_total",
    "draft_tokens": "vllm:spec_decode_num_draft_tokens_total",
    "accepted_tokens": "vllm:spec_decode_num_accepted_tokens_total",
}
Counts = Mapping[str, int]
"""Totals since a server's start, by the keys of `_METRICS`."""


class Decoded(TypedDict):
    """What a server has counted over some time."""

    drafts: int
    """Passes of base in which proposed tokens were checked."""
    draft_tokens: int
    """Tokens that were proposed in them."""
    accepted_tokens: int
    arms: list[str]
    """Whose passes these are: of several arms where their runs went on at the same time."""


class Decoder:
    """The pair with base on the server that decodes; `arms` are those that share it at a time, None: one by one."""

    def __init__(self, pair: Pair, servers: Sequence[Http], seen: Counts, arms: Sequence[str] | None) -> None:
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
        counts = await self._since()
        arms = [arm] if self._arms is None else list(self._arms)
        return None if counts is None else Decoded(**counts, arms=arms)  # type: ignore[typeddict-item]

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


async def read(servers: Iterable[Http]) -> Counts:
    """The totals of all servers together.

    Raises:
        ConfigError: one does not decode speculatively.
        EndpointError: one does not answer.
    """
    found = dict.fromkeys(_METRICS, 0)
    for server in servers:
        try:
            text = await server.text("/metrics")
        except EndpointRefused:
            text = ""
        with server.shape("/metrics"):
            values = metrics(text)
        if _METRICS["drafts"] not in values:
            raise ConfigError(
                f"decode-url: the {server.name} does not decode speculatively: its /metrics have no "
                f"{_METRICS['drafts']}. Start it with `specreason up --decode draft_model` or `--decode ngram`"
            )
        for key, metric in _METRICS.items():
            found[key] += int(values[metric])
    return found


def metrics(text: str) -> dict[str, float]:
    """The metrics in Prometheus' text format, each summed over its series.

    Raises:
        ValueError: it is no such text.
        ConfigError: the extra `bench` is not installed.
    """
    parser: Any = extra("prometheus_client.parser", "reading /metrics")
    found: dict[str, float] = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return found


def between(before: Counts, now: Counts) -> Counts | None:
    """What was counted between two readings; None where it began anew."""
    counts = {key: now[key] - before[key] for key in now}
    return None if min(counts.values()) < 0 else counts


def tokens_a_pass(decoded: Iterable[Decoded | None], arms: Iterable[str]) -> float | None:
    """Tokens that a pass of base gave, of those passes that had proposals: vLLM's mean acceptance length.

    Args:
        decoded: what was counted of some runs.
        arms: all arms whose runs these are.

    Returns:
        None where it was not counted, or together with other arms, or where nothing was ever proposed.
    """
    drafts, accepted, own = 0, 0, set(arms)
    for counts in decoded:
        if counts is None or not own.issuperset(counts["arms"]):
            return None
        drafts, accepted = drafts + counts["drafts"], accepted + counts["accepted_tokens"]
    return 1 + accepted / drafts if drafts else None
