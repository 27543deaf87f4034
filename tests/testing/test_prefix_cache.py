"""The prefix cache must count as vLLM's does, or tests of prefix reuse prove nothing."""

from __future__ import annotations

from specreason_graph.testing.prefix_cache import PrefixCache

PROMPT = list(range(100, 140))  # two full blocks of 16, and 8 tokens


def test_only_full_blocks_hit() -> None:
    """Guards the arithmetic: 40 tokens seen before are 32 cached ones."""
    cache = PrefixCache(100)
    assert [cache.open(PROMPT).hit for _ in range(2)] == [0, 32]


def test_the_last_token_is_always_computed() -> None:
    """Guards the cap: a prompt of whole blocks never hits with its last block."""
    cache = PrefixCache(100)
    assert [cache.open(PROMPT[:32]).hit for _ in range(2)] == [0, 16]


def test_a_block_only_hits_behind_the_same_prefix() -> None:
    """Guards the chain: equal blocks behind another beginning are other blocks."""
    cache = PrefixCache(100)
    cache.open(PROMPT)
    assert cache.open([1, *PROMPT[1:]]).hit == 0
    assert cache.open([*PROMPT[:16], 1, *PROMPT[17:]]).hit == 16


def test_generated_tokens_are_cached_once_computed() -> None:
    """Guards step reuse: what one request generates, the next one has cached; its very last token it has not."""
    cache = PrefixCache(100)
    sequence = cache.open(PROMPT)
    for token in range(8):
        sequence.extend(token)
    assert cache.open([*PROMPT, *range(8), 1]).hit == 32
    sequence.extend(8)
    assert cache.open([*PROMPT, *range(9), 1]).hit == 48


def test_the_least_recently_used_blocks_are_dropped() -> None:
    """Guards tests of cache pressure: capacity holds, and a prefix outlives what stands behind it."""
    cache = PrefixCache(3)
    cache.open(PROMPT)
    cache.open([1] * 40)
    assert len(cache) == 3
    assert cache.open(PROMPT).hit == 16


def test_no_blocks_means_no_cache() -> None:
    """Guards servers without caching."""
    cache = PrefixCache(0)
    assert [cache.open(PROMPT).hit for _ in range(2)] == [0, 0]
