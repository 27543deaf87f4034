"""The gateway as a server of its own: a listening socket, and uvicorn on it until a signal comes."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address

import uvicorn

from specreason_graph.errors import ConfigError
from specreason_graph.gateway.app import create_app
from specreason_graph.gateway.service import Gateway

_GRACE = 5  # seconds for connections to end once their runs are cancelled


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach a server on that address.

    Raises:
        ConfigError: the address can't be resolved.
    """
    return all(ip_address(address[4][0]).is_loopback for address in _resolved(host, 0))


def listening(host: str, port: int) -> socket.socket:
    """A socket that takes connections; port 0 takes a free one.

    Raises:
        ConfigError: the address is none of this computer's, or in use.
    """
    family, _, _, _, address = _resolved(host, port)[0]
    try:
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ConfigError(f"port: can't listen at {host}:{port} ({error.strerror}); take another") from None


async def serve(gateway: Gateway, listener: socket.socket) -> None:
    """Answer requests until Ctrl-C, SIGTERM or SIGHUP; runs that go on then are cancelled."""
    config = uvicorn.Config(create_app(gateway), log_level="warning", lifespan="off", timeout_graceful_shutdown=_GRACE)
    await _Server(config, gateway.runs.stop).serve(sockets=[listener])


class _Server(uvicorn.Server):
    """Signals cancel the runs, which uvicorn would wait for; and they are not raised again behind the end."""

    def __init__(self, config: uvicorn.Config, stop_runs: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._stop_runs = stop_runs

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._stop_runs()
        await super().shutdown(sockets)


def _resolved(host: str, port: int) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]
    except OSError as error:
        raise ConfigError(f"host: there is no address {host!r} ({error.strerror})") from None
