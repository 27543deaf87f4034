"""The gateway as a server of its own: a listening socket, and uvicorn on it until a signal comes."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from specreason_graph.contract.errors import ConfigError
from specreason_graph.use.address import resolved
from specreason_graph.use.gateway.connection import Connection, Connections, Limits, raise_file_limit
from specreason_graph.use.gateway.jobs import Jobs
from specreason_graph.use.signals import on_ending_signal

_GRACE = 5  # seconds for connections to end once their runs are cancelled


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 takes a free one.

    Raises:
        ConfigError: the address is none of this computer's, or in use.
    """
    family, _, _, _, address = resolved(host, port)[0]
    try:
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ConfigError(f"port: can't listen at {host}:{port} ({error.strerror}); take another") from None


class Server(uvicorn.Server):
    """Serves an application until Ctrl-C, SIGTERM or SIGHUP, which are not raised again behind the end.

    SIGTERM drains: new requests are refused, and runs that go on may end within so many seconds. Another signal, or
    one of the others, cancels them at once.
    """

    def __init__(self, app: ASGIApp, jobs: Jobs, limits: Limits | None = None, *, drain: float = 0.0) -> None:
        """Take over what the process may open; `drain` in seconds."""
        raise_file_limit()
        limits = limits or Limits()
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=limits.backlog,
                timeout_graceful_shutdown=_GRACE,
            )
        )
        self.server_state = Connections(limits)
        self._jobs = jobs
        self._drain = drain
        self._hurry = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As the command has them."""
        on_ending_signal(self._end)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, cancel what is left, then close all connections."""
        draining = asyncio.create_task(self._jobs.drain(self._drain))
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait({draining, hurry}, return_when=asyncio.FIRST_COMPLETED)
        for waiting in (draining, hurry):
            waiting.cancel()
        await self._jobs.stop()
        await super().shutdown(sockets)

    def _end(self, number: int) -> None:
        if self.should_exit or number != signal.SIGTERM:
            self._hurry.set()
        self._jobs.draining = True
        self.should_exit = True
