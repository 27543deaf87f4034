"""Connections to one server: a client a running event loop, since aiohttp binds to its loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import aiohttp

from specreason_graph.contract.config import EndpointConfig

CONNECT = 10.0
"""Seconds for a connection; a server that takes as long is not asked a second time."""
_KEEP_ALIVE = 4.0  # seconds; vLLM drops idle connections after 5


@dataclass(frozen=True, slots=True)
class Session:
    """The connections of one loop."""

    client: aiohttp.ClientSession
    closing: AsyncGenerator[None, None]
    streams: asyncio.Semaphore
    """One connection stays free of streams: who reads one may have to look something up before it goes on."""


class Sessions:
    """Those of every loop that asks."""

    def __init__(self, config: EndpointConfig) -> None:
        self._config = config
        self.by_loop: dict[asyncio.AbstractEventLoop, Session] = {}

    async def here(self) -> Session:
        """The running loop's."""
        loop = asyncio.get_running_loop()
        if loop not in self.by_loop:
            for ended in [other for other in self.by_loop.copy() if other.is_closed()]:
                self.by_loop.pop(ended, None)  # without `asyncio.run`, nothing closes what is left open
            headers = {name: value.get_secret_value() for name, value in self._config.headers.items()}
            if self._config.api_key is not None:
                headers["Authorization"] = f"Bearer {self._config.api_key.get_secret_value()}"
            client = aiohttp.ClientSession(
                headers={"Content-Type": "application/json", **headers},
                connector=aiohttp.TCPConnector(limit=self._config.connections, keepalive_timeout=_KEEP_ALIVE),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=self._config.timeout),
                read_bufsize=2**20,  # an event with 500 log-probabilities is one long line
            )
            streams = asyncio.Semaphore(self._config.connections - 1)
            self.by_loop[loop] = Session(client, self._closing(client, loop), streams)
            await anext(self.by_loop[loop].closing)
        return self.by_loop[loop]

    async def aclose(self) -> None:
        """Close all: this loop's at once, those of other threads' loops as soon as they come to it."""
        here = asyncio.get_running_loop()
        for loop, session in list(self.by_loop.items()):
            if loop is here:
                await session.closing.aclose()
            elif loop.is_running():  # not waited for: that loop may be waiting for this one
                loop.call_soon_threadsafe(_begin_closing, session.closing)

    async def _closing(
        self, client: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop
    ) -> AsyncGenerator[None, None]:
        """Closes a client when its loop ends: `asyncio.run` closes every generator that is still open."""
        try:
            yield
        finally:
            self.by_loop.pop(loop, None)
            await client.close()


def _begin_closing(closing: AsyncGenerator[None, None]) -> None:
    async def close() -> None:
        await closing.aclose()

    asyncio.get_running_loop().create_task(close(), name="specreason-close")  # the loop's end waits
