"""What every client must do, whatever engine is behind it: log-probabilities, and what was computed before."""

from __future__ import annotations

import math

import pytest

from .contract import MATHS, Engine, asked, collected


async def test_reading_agrees_with_generating(engine: Engine) -> None:
    """Guards likelihood judges: at each place the likeliest token is the one that was written, as likely as told."""
    prompt = await asked(engine)
    written = await collected(engine.endpoint, prompt, max_tokens=12)
    ids, logprobs = written.ids, written.logprobs
    readings = await engine.endpoint.read([[*prompt, *ids[:place]] for place in range(len(ids))])
    assert len(readings.items) == len(ids)
    for reading, token, logprob in zip(readings.items, ids, logprobs, strict=True):
        assert reading.logprobs[token] == pytest.approx(logprob, abs=engine.tolerance)
        tied = reading.logprobs[reading.likeliest] - reading.logprobs[token] <= engine.tolerance
        assert reading.likeliest == token or tied


async def test_prompts_are_read_in_their_order(engine: Engine) -> None:
    """Guards spots: each reading belongs to its prompt, also where one is the beginning of another."""
    prompt = await asked(engine)
    prompts = [prompt, prompt[:-1], [*prompt, prompt[-1]], prompt]
    together = (await engine.endpoint.read(prompts)).items
    alone = [(await engine.endpoint.read([one])).items[0] for one in prompts]
    for a, b in zip(together, alone, strict=True):
        assert a.logprobs[a.likeliest] == pytest.approx(b.logprobs[b.likeliest], abs=engine.tolerance)
    assert together[0].likeliest == together[3].likeliest


@pytest.mark.parametrize("top", [1, 5, 20])
async def test_a_reading_is_the_top_of_a_distribution(engine: Engine, top: int) -> None:
    """Guards label masses: as many tokens as asked for, the likeliest among them, and never more than 1 in sum."""
    reading = (await engine.endpoint.read([await asked(engine)], top=top)).items[0]
    assert len(reading.logprobs) == top
    assert max(reading.logprobs, key=lambda token: reading.logprobs[token]) == reading.likeliest
    assert sum(map(math.exp, reading.logprobs.values())) <= 1 + 1e-3


async def test_a_prefix_that_was_read_is_cached(engine: Engine) -> None:
    """Guards prefix reuse: what one request computed, the next does not; None where the engine can't say."""
    prompt = await asked(engine, MATHS * 5)
    first = (await engine.endpoint.read([prompt])).usage
    second = (await engine.endpoint.read([[*prompt, *prompt[-3:]]])).usage
    assert first.prompt_tokens == len(prompt)
    if second.cached_tokens is not None:
        assert first.cached_tokens is not None
        assert first.cached_tokens <= second.cached_tokens
        assert len(prompt) - engine.block <= second.cached_tokens <= len(prompt)


async def test_what_was_generated_is_cached(engine: Engine) -> None:
    """Guards step reuse: behind an accepted step, its tokens are not computed again."""
    prompt = await asked(engine, MATHS * 5)
    ids = (await collected(engine.endpoint, prompt, max_tokens=40)).ids
    later = (await collected(engine.endpoint, [*prompt, *ids], max_tokens=1)).end
    if later.usage.cached_tokens is not None:
        whole = len(prompt) + len(ids)
        assert whole - 1 - engine.block <= later.usage.cached_tokens < whole
