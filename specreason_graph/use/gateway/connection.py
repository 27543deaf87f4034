"""One client's connection: how long it may take, what it may send, and how many there are.

uvicorn bounds none of this: a client that sends half a header would hold its connection for ever.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

_MOST_WAITING = 2048
_FILES = (65536, 10240, 4096)  # to try: a hard limit may be "unlimited", which nothing can be raised to
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"

_Phase = Literal["head", "body", "rest", "asked"]
"""What a connection waits for: a request's head, its body, the rest of a body that nobody reads since the reply was
given without it, or nothing any more, since all is there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take of the gateway before it knows what they want."""

    head_seconds: float = 10.0
    """From the connection, or the last reply, to the end of a request's head."""
    body_seconds: float = 60.0
    """From there to the end of its body; and how long a reply may wait for a client that reads nothing."""
    body_bytes: int = 4 * 2**20
    connections: int = 1024
    """At most, and never more than half of the files that the process may open: the models need some, too."""

    @property
    def most_connections(self) -> int:
        """How many there may be, by the limits of the process."""
        return max(1, min(self.connections, _files() // 2))

    @property
    def backlog(self) -> int:
        """How many may wait to be taken; asyncio takes so many at once before it looks at any of them."""
        return max(8, min(_MOST_WAITING, _files() // 8))


class Connections(ServerState):
    """All of them; those that wait for nothing of ours are in the order in which they have to make room."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.most = limits.most_connections
        self.silent: dict[Connection, None] = {}


class Connection(H11Protocol):
    """One of them.

    At the bound, whoever has been silent longest makes room for the next: open connections lock nobody out.
    A request behind another one that still goes on is dropped, and the connection closed behind the reply, as HTTP
    allows: while it waited, nobody would notice that the client has left.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all = cast(Connections, server_state)
        self._phase: _Phase = "asked"
        self._bound: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, if there is room or some can be made."""
        super().connection_made(transport)
        if len(self.connections) > self._all.most:
            oldest = next(iter(self._all.silent), None)
            if oldest is None:
                transport.write(_FULL)
                transport.close()
                return
            oldest.transport.abort()
            self.connections.discard(oldest)  # it is told that it is lost a moment later
            self._all.silent.pop(oldest)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._all.silent.pop(self, None)
        for timer in (self._bound, self._unread):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Read on, up to the end of one request."""
        if self._has_asked:
            self.cycle.keep_alive = False
            return
        super().data_received(data)
        if self._has_asked and self.conn.trailing_data[0]:
            self.cycle.keep_alive = False
            self.flow.resume_reading()
        self._wait()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._wait()

    def pause_writing(self) -> None:
        """The client does not read: not for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(self._all.limits.body_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    @property
    def _has_asked(self) -> bool:
        return self.cycle is not None and self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)

    def _wait(self) -> None:
        """Bound what the connection waits for now; what it waited for already keeps its bound."""
        phase = self._waits_for
        if phase == self._phase or self.transport.is_closing():
            return
        self._phase = phase
        if self._bound is not None:
            self._bound.cancel()
        self._all.silent.pop(self, None)
        if phase in ("head", "rest"):
            self._all.silent[self] = None
        if phase != "asked":
            limits = self._all.limits
            seconds = limits.body_seconds if phase == "body" else limits.head_seconds
            self._bound = self.loop.call_later(seconds, self.transport.abort)

    @property
    def _waits_for(self) -> _Phase:
        if self.conn.their_state is h11.IDLE:
            return "head"
        if self.conn.their_state is h11.SEND_BODY:
            return "rest" if self.cycle.response_complete else "body"
        return "asked"


def raise_file_limit() -> None:
    """Let the process open as many files as it may; each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in _FILES:
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if soft == resource.RLIM_INFINITY or soft >= most:
            return
        with suppress(ValueError, OSError):  # macOS has a limit that it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            return


def _files() -> int:
    """How many the process may open."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _FILES[0] if soft == resource.RLIM_INFINITY else soft
