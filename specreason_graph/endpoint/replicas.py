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

from specreason_graph.contract.errors import ConfigError, EndpointBusy, EndpointError, EndpointUnreachable, retold
from specreason_graph.endpoint.image import Sight
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
    Usage,
)
from specreason_graph.endpoint.retries import is_passing, retrying

_AWAY = 30.0  # seconds in which a run that left a server asks it last

_Answer = TypeVar("_Answer")


class Replicas:
    """Servers of one model (see `protocol.Endpoint` for what each method promises).

    A server that is busy hands the request to the next one, and so does one that is gone; the run then keeps to that
    one for a while, and other runs go where they went. A server that is gone is known to its own client, which fails
    at once (`breaker`). A session's order of servers follows from hashes of the session and each server's name
    (rendezvous hashing): every process comes to the same one, and one server more moves only the runs that it gets.

    Args:
        servers: one client each, which should not be patient.
        patience: seconds in which all are asked again where all are busy.
    """

    def __init__(self, servers: Sequence[Endpoint], patience: float) -> None:
        self._servers = list(servers)
        self._patience = patience
        self._session: str | None = None
        self._cards: dict[str, ModelCard] = {}
        self._silent: set[str] = set()  # that did not say what they serve
        self._left: dict[tuple[str | None, str], float] = {}

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
        failures: list[EndpointError] = []
        for server in self._servers:
            if server.name not in self._silent or not self._cards:
                with self._passed_over(server, failures):
                    await self._checked(server)
        if not self._cards:
            raise _together(failures)
        cards = list(self._cards.values())
        return ModelCard(cards[0].name, min(card.context for card in cards))

    async def render(
        self, messages: Sequence[ChatMessage], template: Mapping[str, Any], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """By the first server that answers."""
        return await self._ask(lambda server: server.render(messages, template, tools))

    async def sight(self) -> Sight:
        """By the first server that answers."""
        return await self._ask(lambda server: server.sight())

    async def look(self, prompt: Sequence[int]) -> Usage:
        """By the first server that answers; another one is shown the images when the run comes to it."""
        return await self._ask(lambda server: server.look(prompt))

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
        """By the first server that begins to write; a run whose stream breaks there leaves it."""

        async def begun(server: Endpoint) -> tuple[Endpoint, AsyncGenerator[Token | End, None], Token | End]:
            stream = server.generate(
                prompt, max_tokens=max_tokens, sampling=sampling, boundary=boundary, close=close, form=form
            )
            return server, stream, await anext(stream)

        server, stream, first = await self._ask(begun)
        async with aclosing(stream):
            yield first
            try:
                async for more in stream:
                    yield more
            except EndpointError as error:
                if is_passing(error):
                    self._leave(server)
                raise

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
        answer: _Answer = await retrying(lambda: self._patience, _is_busy)(self._asked, request)
        return answer

    async def _asked(self, request: Callable[[Endpoint], Awaitable[_Answer]]) -> _Answer:
        failures: list[EndpointError] = []
        for server in sorted(self._servers, key=self._is_left):
            with self._passed_over(server, failures):
                await self._checked(server)
                return await request(server if self._session is None else server.pinned(self._session))
        raise _together(failures)

    def _is_left(self, server: Endpoint) -> bool:
        return time.monotonic() < self._left.get((self._session, server.name), -math.inf) + _AWAY

    def _leave(self, server: Endpoint) -> None:
        now = time.monotonic()
        for key in [key for key, at in self._left.items() if now > at + _AWAY]:
            self._left.pop(key, None)
        self._left[self._session, server.name] = now

    async def _checked(self, server: Endpoint) -> None:
        """Know the server's model before anything is asked of it."""
        if server.name in self._cards:
            return
        try:
            card = await server.card()
        except EndpointError:
            self._silent.add(server.name)
            raise
        for other, known in self._cards.items():
            if known.name != card.name:
                raise ConfigError(
                    f"{server.name} serves {card.name}, but {other} serves {known.name}: replicas must serve one model "
                    "under one name"
                )
        self._cards[server.name] = card

    @contextmanager
    def _passed_over(self, server: Endpoint, failures: list[EndpointError]) -> Iterator[None]:
        """Around a request to a server: a failure that another one may not have is noted, and not raised."""
        try:
            yield
        except EndpointError as error:
            if not is_passing(error):
                raise
            self._leave(server)
            failures.append(error)


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, EndpointBusy)


def _together(failures: Sequence[EndpointError]) -> EndpointError:
    """One error for all servers: busy where one of them is, since that one is there."""
    message, waits = "; ".join(map(str, failures)), [it.retry_after for it in failures if it.retry_after is not None]
    busy = next(filter(_is_busy, failures), None)
    error = EndpointUnreachable(message) if busy is None else retold(busy, message)
    error.retry_after = min(waits, default=None)
    return error


def _weight(session: str, name: str) -> bytes:
    return hashlib.sha256(f"{session} {name}".encode()).digest()
