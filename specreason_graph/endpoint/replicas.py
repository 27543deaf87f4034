"""Several servers of one model behind one endpoint: a run keeps to the one whose prefix cache holds what it has read.

Prompts are token ids and hold all that a run knows, so any server can go on where another one failed; it only has to
read the prefix anew.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from copy import copy
from typing import Any, TypeVar

from specreason_graph.contract.errors import ConfigError, EndpointError, EndpointUnreachable
from specreason_graph.endpoint.http import is_passing
from specreason_graph.endpoint.protocol import (
    FREE,
    ChatMessage,
    Encoded,
    End,
    Endpoint,
    Form,
    Likelihood,
    Marker,
    ModelCard,
    Readings,
    Sampling,
    Token,
)

_COOL_DOWN = 30.0  # seconds in which a server that failed is asked only if no other one answers

_Answer = TypeVar("_Answer")


class Replicas:
    """Servers of one model (see `protocol.Endpoint` for what each method promises).

    A server that can't be reached, or whose queue stays full, hands the request to the next one; a stream that has
    begun is not handed on. A session's order of servers follows from hashes of the session and each server's name
    (rendezvous hashing): every process comes to the same one, and one server more moves only the runs that it gets.
    """

    def __init__(self, servers: Sequence[Endpoint]) -> None:
        self._servers = list(servers)
        self._session: str | None = None
        self._cards: dict[str, ModelCard] = {}
        self._failed: dict[str, float] = {}

    @property
    def name(self) -> str:
        """Role and addresses, for messages."""
        first, *others = (server.name for server in self._servers)
        return ", ".join([first, *(name.rpartition(" ")[2] for name in others)])

    def pinned(self, session: str) -> Replicas:
        """The same servers in the session's order."""
        view = copy(self)
        view._session = session
        view._servers = sorted(self._servers, key=lambda server: _weight(session, server.name), reverse=True)
        return view

    async def card(self) -> ModelCard:
        """The model that all have, with the smallest context of those that answered; one that is down may join later.

        Raises:
            ConfigError: they do not serve the same model.
        """
        failures: list[str] = []
        for server in self._servers:
            if server.name not in self._failed or not self._cards:
                with self._passed_over(server, failures):
                    await self._checked(server)
        if not self._cards:
            raise EndpointUnreachable("; ".join(failures))
        cards = list(self._cards.values())
        return ModelCard(cards[0].name, min(card.context for card in cards))

    async def render(
        self, messages: Sequence[ChatMessage], template: Mapping[str, Any], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """By the first server that answers."""
        return await self._ask(lambda server: server.render(messages, template, tools))

    async def encode(self, text: str, *, control: bool = False) -> Encoded:
        """By the first server that answers."""
        return await self._ask(lambda server: server.encode(text, control=control))

    async def decode(self, ids: Sequence[int]) -> str:
        """By the first server that answers."""
        return await self._ask(lambda server: server.decode(ids))

    @property
    def overlaps(self) -> bool:
        """As each of them."""
        return all(server.overlaps for server in self._servers)

    async def generate(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        sampling: Sampling,
        boundary: str | None = None,
        close: Marker | None = None,
        form: Form = FREE,
    ) -> AsyncGenerator[Token | End, None]:
        """By the first server that begins to write."""

        async def begun(server: Endpoint) -> tuple[AsyncGenerator[Token | End, None], Token | End]:
            stream = server.generate(
                prompt, max_tokens=max_tokens, sampling=sampling, boundary=boundary, close=close, form=form
            )
            return stream, await anext(stream)

        stream, first = await self._ask(begun)
        async with aclosing(stream):
            yield first
            async for more in stream:
                yield more

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """By the first server that answers."""
        return await self._ask(lambda server: server.read(prompts, top=top))

    async def likelihood(self, prompt: Sequence[int]) -> Likelihood | None:
        """By the first server that answers."""
        return await self._ask(lambda server: server.likelihood(prompt))

    async def aclose(self) -> None:
        """Close the connections to all of them."""
        for server in self._servers:
            await server.aclose()

    async def _ask(self, request: Callable[[Endpoint], Awaitable[_Answer]]) -> _Answer:
        failures: list[str] = []
        for server in sorted(self._servers, key=self._cools_down):
            with self._passed_over(server, failures):
                await self._checked(server)
                return await request(server if self._session is None else server.pinned(self._session))
        raise EndpointUnreachable("; ".join(failures))

    def _cools_down(self, server: Endpoint) -> bool:
        return time.monotonic() < self._failed.get(server.name, -math.inf) + _COOL_DOWN

    async def _checked(self, server: Endpoint) -> None:
        """Know the server's model before anything is asked of it."""
        if server.name in self._cards:
            return
        card = await server.card()
        for other, known in self._cards.items():
            if known.name != card.name:
                raise ConfigError(
                    f"{server.name} serves {card.name}, but {other} serves {known.name}: replicas must serve one model "
                    "under one name"
                )
        self._cards[server.name] = card

    @contextmanager
    def _passed_over(self, server: Endpoint, failures: list[str]) -> Iterator[None]:
        """Around a request to a server: a failure that another one may not have is noted, and not raised."""
        try:
            yield
        except EndpointError as error:
            if not is_passing(error):
                raise
            self._failed[server.name] = time.monotonic()
            failures.append(str(error))


def _weight(session: str, name: str) -> bytes:
    return hashlib.sha256(f"{session} {name}".encode()).digest()
