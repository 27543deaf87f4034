"""The gateway as a server of its own: a listening socket, and uvicorn on it until a signal comes."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import uvicorn

from specreason_graph.contract.errors import ConfigError
from specreason_graph.use.address import resolved
from specreason_graph.use.gateway.app import create_app
from specreason_graph.use.gateway.service import Gateway
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


async def serve(gateway: Gateway, listener: socket.socket) -> None:
    """Answer requests until Ctrl-C, SIGTERM or SIGHUP; runs that go on then are cancelled."""
    config = uvicorn.Config(create_app(gateway), log_level="warning", lifespan="off", timeout_graceful_shutdown=_GRACE)
    await _Server(config, gateway.jobs.stop).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Signals cancel the runs, which uvicorn would wait for; and they are not raised again behind the end."""

    def __init__(self, config: uvicorn.Config, stop_runs: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._stop_runs = stop_runs

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        on_ending_signal(lambda number: self.handle_exit(number, None))
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._stop_runs()
        await super().shutdown(sockets)
