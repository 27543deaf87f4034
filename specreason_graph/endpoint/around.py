"""An endpoint around another one: what it does not do itself, that one does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Self

from specreason_graph.endpoint.image import Sight
from specreason_graph.endpoint.protocol import ChatMessage, Encoded, Endpoint, Likelihood, ModelCard, Readings, Usage


class Around:
    """Passes all but `generate` on, which is what those around an endpoint change (see `protocol.Endpoint`)."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @property
    def name(self) -> str:
        """Role and addresses, for messages."""
        return self._endpoint.name

    @property
    def overlaps(self) -> bool:
        """As of the endpoint."""
        return self._endpoint.overlaps

    def pinned(self, session: str) -> Self:
        """A view for one run."""
        view = copy(self)
        view._endpoint = self._endpoint.pinned(session)
        return view

    async def card(self) -> ModelCard:
        """The served model."""
        return await self._endpoint.card()

    async def render(
        self, messages: Sequence[ChatMessage], template: Mapping[str, Any], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """As the endpoint does; no model is asked."""
        return await self._endpoint.render(messages, template, tools)

    async def sight(self) -> Sight:
        """As of the endpoint."""
        return await self._endpoint.sight()

    async def look(self, prompt: Sequence[int]) -> Usage:
        """As the endpoint does."""
        return await self._endpoint.look(prompt)

    async def encode(self, text: str, *, control: bool = False) -> Encoded:
        """As the endpoint does; no model is asked."""
        return await self._endpoint.encode(text, control=control)

    async def decode(self, ids: Sequence[int]) -> str:
        """As the endpoint does; no model is asked."""
        return await self._endpoint.decode(ids)

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """As the endpoint does."""
        return await self._endpoint.read(prompts, top=top)

    async def likelihood(self, prompt: Sequence[int]) -> Likelihood | None:
        """As the endpoint does."""
        return await self._endpoint.likelihood(prompt)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._endpoint.aclose()
