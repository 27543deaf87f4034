"""Where a server of ours can be reached from."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from specreason_graph.contract.errors import ConfigError

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]
"""What `socket.getaddrinfo` says of one; the last part is host and port."""


def resolved(host: str, port: int = 0) -> list[Address]:
    """The addresses that a host's name stands for.

    Raises:
        ConfigError: there is none.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]
    except (OSError, UnicodeError) as error:  # the latter of names that can be none
        why = error.strerror if isinstance(error, OSError) else "it is no host's name"
        raise ConfigError(f"host: there is no address {host!r} ({why})") from None


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach a server on that address.

    Raises:
        ConfigError: the address can't be resolved.
    """
    return all(ip_address(address[4][0]).is_loopback for address in resolved(host))
