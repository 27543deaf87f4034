"""Single calls of a GPU's servers: a first token, a token, a judge's request."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from gpu_cells import Extent, JudgeCall, Tokens

from specreason_graph import Pair
from specreason_graph.contract.errors import EndpointError
from specreason_graph.endpoint import Endpoint
from specreason_graph.endpoint.protocol import End, Sampling
from specreason_graph.judging.catalog import builtin
from specreason_graph.models.presets import Preset

JUDGE = builtin().judge("paper")
TEMPERATURE, TOP_P = 1.0, 0.95
"""Of all that is generated: at 1, weights that say nothing do not go in circles either."""
STEP = 30
"""Tokens of a step that is judged."""
SPOTS = 16
"""Tokens of it that the likelihood form asks about."""
DECODED = 128
"""Tokens of a generation that is timed."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Two servers that are up, and how much is measured on them."""

    pair: Pair
    preset: Preset
    extent: Extent


async def time_tokens(stage: Stage, cell: Tokens) -> dict[str, Any]:
    """Milliseconds to the first token (median) and per token (mean), of one sequence that is alone.

    Raises:
        EndpointError: the model writes nothing.
    """
    endpoint = stage.pair.endpoint(cell.role)
    prompt = await _text(endpoint, cell.context, f"{cell}")
    await endpoint.read([prompt], top=1)
    timed = [await _generation(endpoint, prompt, seed) for seed in range(stage.extent.rounds)]
    tokens = sum(more for _, more, _ in timed)
    if not tokens:
        raise EndpointError(f"{endpoint.name} ended each of {len(timed)} generations at once: there is nothing to time")
    return {
        "first_token_ms": 1000 * statistics.median(first for first, _, _ in timed),
        "token_ms": 1000 * sum(seconds for _, _, seconds in timed) / tokens,
        "timed_tokens": tokens,
    }


async def time_judge(stage: Stage, cell: JudgeCall, token_ms: float) -> dict[str, Any]:
    """Milliseconds of a judge's request, and how many of base's tokens take as long.

    Args:
        stage: the servers.
        cell: which form, behind how much context.
        token_ms: what a token of base takes.
    """
    base = stage.pair.base
    context = await _text(base, cell.context, f"{cell}")
    request = (await stage.pair.judge_request(JUDGE, stage.preset)).suffix
    await base.read([context], top=1)
    took: list[float] = []
    cached: list[int | None] = []
    for call in range(stage.extent.calls + 1):
        step = await _text(base, STEP, f"{call} of {cell}")
        prompts = [[*context, *step, *request]]
        if cell.form == "likelihood":
            prompts = [[*context, *step[:at]] for at in spots()]
        began = time.perf_counter()
        readings = await base.read(prompts)
        took.append(1000 * (time.perf_counter() - began))
        cached.append(readings.usage.cached_tokens)
    took, cached = took[1:], cached[1:]  # the first one warms up
    return {
        "ms": statistics.median(took),
        "p90_ms": statistics.quantiles(took, n=10)[-1] if len(took) > 1 else took[0],
        "base_tokens": statistics.median(took) / token_ms,
        "prompts": len(prompts),
        "cached_tokens": cached[-1],
        "prefilled_tokens": len(prompts[0]) - (cached[-1] or 0) if len(prompts) == 1 else None,
    }


def spots() -> list[int]:
    """Where in a step the likelihood form asks: spread evenly, from its first token to its last."""
    return [round(at * (STEP - 1) / (SPOTS - 1)) for at in range(SPOTS)]


async def _text(endpoint: Endpoint, tokens: int, salt: str) -> list[int]:
    """Exactly so many tokens of text; another salt gives one that begins differently."""
    text = f"{salt}: " + "".join(f"Crate {number} holds {7 * number} apples. " for number in range(tokens // 4))
    return (await endpoint.encode(text)).ids[:tokens]


async def _generation(endpoint: Endpoint, prompt: Sequence[int], seed: int) -> tuple[float, int, float]:
    """Seconds to the first token, how many came behind it, and in how many seconds."""
    began = time.perf_counter()
    first = last = 0.0
    more = 0
    said = endpoint.generate(prompt, max_tokens=DECODED, sampling=Sampling(TEMPERATURE, TOP_P, seed))
    async with aclosing(said):
        async for it in said:
            if isinstance(it, End):
                continue
            last = time.perf_counter() - began
            if first:
                more += 1
            else:
                first = last
    return first, more, last - first
