"""A plain HTTP client, since the scripted server must behave without our own one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from specreason_graph.testing import ScriptedServer


@dataclass(frozen=True)
class Client:
    """Asks scripted servers."""

    session: aiohttp.ClientSession

    async def get(self, server: ScriptedServer, path: str) -> Any:
        async with self.session.get(server.url + path) as response:
            return await response.json()

    async def post(self, server: ScriptedServer, path: str, **body: Any) -> tuple[int, Any]:
        async with self.session.post(server.url + path, json=body) as response:
            return response.status, await response.json()

    async def complete(self, server: ScriptedServer, prompt: list[int] | list[list[int]], **body: Any) -> Any:
        """A completion that must succeed."""
        status, answer = await self.post(server, "/v1/completions", **{"prompt": prompt, "max_tokens": 100, **body})
        assert status == 200, answer
        return answer

    async def events(self, server: ScriptedServer, prompt: list[int] | list[list[int]], **body: Any) -> list[str]:
        """The raw events of a streamed completion."""
        body = {"prompt": prompt, "max_tokens": 100, "stream": True, **body}
        async with self.session.post(f"{server.url}/v1/completions", json=body) as response:
            assert response.status == 200
            return [event.removeprefix("data: ") for event in (await response.text()).split("\n\n") if event]

    async def opening(self, server: ScriptedServer, question: str = "How many?") -> list[int]:
        """The ids of a rendered question."""
        messages = [{"role": "user", "content": question}]
        _, answer = await self.post(server, "/tokenize", messages=messages, add_generation_prompt=True)
        ids: list[int] = answer["tokens"]
        return ids


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session)
