"""vLLM's prefix cache in small: full blocks of ids, hashed in a chain, least recently used ones dropped first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence


class PrefixCache:
    """Remembers which full blocks have been computed.

    Args:
        blocks: how many it holds; 0 turns caching off.
        block_size: tokens of a block.
    """

    def __init__(self, blocks: int, block_size: int = 16) -> None:
        self.block_size = block_size
        self._capacity = blocks
        self._blocks: OrderedDict[int, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._blocks)

    def open(self, prompt: Sequence[int]) -> CachedSequence:
        """Look a prompt up, then count its full blocks as computed."""
        return CachedSequence(self, prompt)

    def has(self, block: int) -> bool:
        """Whether a block is held."""
        return block in self._blocks

    def touch(self, chain: Sequence[int]) -> None:
        """Hold a chain's blocks; its end is dropped before its beginning, which others may share."""
        for block in reversed(chain):
            self._blocks[block] = None
            self._blocks.move_to_end(block)
        while len(self._blocks) > self._capacity:
            self._blocks.popitem(last=False)


class CachedSequence:
    """One prompt and what is generated behind it; `hit` is how many of the prompt's tokens were cached."""

    def __init__(self, cache: PrefixCache, prompt: Sequence[int]) -> None:
        self._cache = cache
        self._chain: list[int] = []
        self._open: list[int] = []
        self.hit = 0
        size = cache.block_size
        for start in range(0, len(prompt) - size + 1, size):
            block = self._close(prompt[start : start + size])
            # The last token is always computed, since its output is what was asked for.
            if self.hit == start and start + size < len(prompt) and cache.has(block):
                self.hit += size
        self._open = list(prompt[len(self._chain) * size :])
        cache.touch(self._chain)

    def extend(self, token: int) -> None:
        """Add a generated token; a block that is full before it has been computed by now, and is cached."""
        if len(self._open) == self._cache.block_size:
            self._close(self._open)
            self._open = []
            self._cache.touch(self._chain)
        self._open.append(token)

    def _close(self, ids: Sequence[int]) -> int:
        parent = self._chain[-1] if self._chain else 0
        self._chain.append(hash((parent, *ids)))
        return self._chain[-1]
