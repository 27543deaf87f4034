"""How many tokens a stream sends in one event: vLLM joins them as it decodes speculatively, or as its client lags."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import repeat
from random import Random

from specreason_graph.testing.generation import Token

_MOST = 8  # tokens of an event whose size is drawn


@dataclass(frozen=True, slots=True)
class EventSizes:
    """Tokens of each event: always as many, or numbers drawn at random, the same ones for the same request."""

    tokens: int
    """0 draws them."""
    seed: int

    def __post_init__(self) -> None:
        if self.tokens < 0:
            raise ValueError(f"tokens_per_event must be 0 or more, not {self.tokens}")

    def of(self, seed: int | None, prompts: Sequence[Sequence[int]]) -> list[Iterator[int]]:
        """The sizes for each prompt of a request; what else is being answered has no say in them."""
        if self.tokens:
            return [repeat(self.tokens) for _ in prompts]
        return [_drawn(f"{self.seed}/{seed}/{index}/{len(prompt)}") for index, prompt in enumerate(prompts)]


async def joined(
    tokens: AsyncGenerator[tuple[int, Token], None], sizes: Sequence[Iterator[int]], *, limit: int | None = None
) -> AsyncGenerator[tuple[int, list[Token]], None]:
    """The tokens of one event after the other, and the index of the prompt that they answer.

    An event is there with its last token; what is left comes at the end of an answer, or behind `limit` tokens.
    """
    waiting: list[list[Token]] = [[] for _ in sizes]
    wanted = [next(size) for size in sizes]
    async with aclosing(tokens):
        while limit != 0 and (made := await anext(tokens, None)) is not None:
            index, token = made
            waiting[index].append(token)
            if token.finish or len(waiting[index]) == wanted[index]:
                yield index, waiting[index]
                waiting[index], wanted[index] = [], next(sizes[index])
            limit = None if limit is None else limit - 1
        for index, left in enumerate(waiting):
            if left:
                yield index, left


def _drawn(seed: str) -> Iterator[int]:
    random = Random(seed)
    while True:
        yield random.randint(1, _MOST)
