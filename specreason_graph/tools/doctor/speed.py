"""What a call, a token and a prefix that was read before cost."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from math import gcd
from statistics import median

from specreason_graph.contract.settings import Role
from specreason_graph.endpoint import Endpoint
from specreason_graph.endpoint.protocol import Sampling
from specreason_graph.generation.passage import Bounds, collect
from specreason_graph.tools.doctor.case import Case
from specreason_graph.tools.doctor.check import Finding
from specreason_graph.tools.doctor.speculation import counted

_CALLS = 5
_DECODED = 64  # tokens
_FEWEST = 16  # decoded tokens that a rate can be read off
_PREFIX = 512  # tokens; blocks that are longer serve no loop of short steps
_PREFIX_TIMED = 2048  # tokens; where only time can tell, the prefill has to be felt
_LEAST_RATIO = 4.0  # below it, a draft and its judging cost about what base's own step does


async def latency(case: Case, role: Role) -> Finding:
    """Median of some calls of one token behind a prompt that is in the prefix cache."""
    endpoint, prompt = case.pair.endpoint(role), await case.prompt(role)
    seconds = [(await _call(endpoint, prompt))[0] for _ in range(_CALLS + 1)][1:]
    case.latency[role] = median(seconds)
    return Finding("ok", f"{1000 * median(seconds):.1f} ms a call of one token")


async def prefix_cache(case: Case, role: Role) -> Finding:
    """Whether a prefix that was sent before is read from cache: by the server's counts, else by time."""
    endpoint = case.pair.endpoint(role)
    _, told = await _call(endpoint, await case.prompt(role))
    length = min(_PREFIX if told is not None else _PREFIX_TIMED, (await endpoint.card()).context // 2)
    text = f"{secrets.token_hex(8)} {' '.join(map(str, range(length)))}"  # nobody sent that before
    ids = (await endpoint.encode(text)).ids[:length]
    (fresh, _), (again, cached) = await _call(endpoint, ids), await _call(endpoint, ids)
    if cached is None:
        return _by_time(length, fresh, again, case.latency[role])
    if not cached:
        return _off(f"of {length} tokens sent twice, none came from cache")
    if cached == length - 1:
        return Finding("ok", f"on, to the token ({cached} of {length} sent twice)")
    shorter = [(await _call(endpoint, ids[:part]))[1] or 0 for part in (length * 7 // 8, length * 2 // 3)]
    return Finding("ok", f"on, in blocks of {gcd(cached, *shorter)} ({cached} of {length} tokens sent twice)")


async def decode_rate(case: Case, role: Role) -> Finding:
    """Tokens a second of one stream, its first token left out."""
    endpoint, prompt = case.pair.endpoint(role), await case.prompt(role)
    before = await counted(case) if role == "base" else None
    began = time.perf_counter()
    got = await collect(endpoint, prompt, Bounds(_DECODED), Sampling(temperature=0.0, top_p=1.0, seed=0))
    seconds = time.perf_counter() - began - case.latency[role]
    tokens = got.end.usage.completion_tokens if got.end else 0
    if tokens < _FEWEST or seconds <= 0:
        return Finding("skipped", f"it wrote only {tokens} tokens: too few to tell")
    case.rates[role] = (tokens - 1) / seconds
    if role == "base":
        case.written, case.counts, case.base_pass = got.ids, await counted(case), seconds / (tokens - 1)
        if before is not None and case.counts is not None:
            accepted = min(case.counts.accepted - before.accepted, tokens - 2)  # others may have used the server
            case.base_pass = seconds / (tokens - 1 - accepted)
    return Finding("ok", f"{case.rates[role]:.1f} tokens/s")


async def cost_ratio(case: Case) -> Finding:
    """How many of the draft's tokens cost what one of base's does."""
    ratio = case.rates["draft"] / case.rates["base"]
    found = f"one base token costs {ratio:.1f} draft tokens"
    if ratio < _LEAST_RATIO:
        return Finding("warn", f"{found}: SpecReason can't win here", "a smaller draft model, or a larger base model")
    return Finding("ok", found)


async def _call(endpoint: Endpoint, prompt: Sequence[int]) -> tuple[float, int | None]:
    """Seconds of a call of one token, and how much of its prompt the server says came from cache."""
    began = time.perf_counter()
    readings = await endpoint.read([prompt], top=1)
    return time.perf_counter() - began, readings.usage.cached_tokens


def _by_time(length: int, fresh: float, again: float, call: float) -> Finding:
    found = f"by time: {length} tokens took {1000 * fresh:.0f} ms, then {1000 * again:.0f} ms"
    if fresh < 2 * call:
        return Finding("warn", f"can't be told {found}", "vLLM: --enable-prompt-tokens-details")
    return Finding("ok", f"on, {found}") if again < (fresh + call) / 2 else _off(found)


def _off(found: str) -> Finding:
    fix = "vLLM: drop --no-enable-prefix-caching; models with hybrid attention have blocks that are too long"
    return Finding("wrong", f"off, {found}", fix)
