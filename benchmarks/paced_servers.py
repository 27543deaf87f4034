"""Scripted servers in a process of their own: what a server does must not cost the measured client's event loop."""

from __future__ import annotations

import asyncio
import multiprocessing
import selectors
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from typing import Any, Literal, NamedTuple, Self

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.settings import Role
from specreason_graph.testing import Record, Script, ScriptedServer
from specreason_graph.testing.pace import ServerPace
from specreason_graph.testing.server import COMPLETIONS

_CONTEXT = 65_536  # tokens; enough for a thousand steps
_BLOCKS = 1 << 16  # of the prefix cache: nothing is dropped


@dataclass(frozen=True, slots=True)
class Wanted:
    """A server to start."""

    role: Role
    script: Script
    pace: ServerPace | None


class Request(NamedTuple):
    """A completions request that a server got."""

    call: Literal["draft", "judge", "base"]
    began: float
    """Seconds since the epoch, by the server's clock; so is `ended`."""
    ended: float
    prompt_tokens: int
    cached_tokens: int
    tokens: int
    aborted: bool
    size: int
    """Bytes of its body."""


class ServerProcess:
    """A process that serves as many models as it is asked to. Use it as an async context manager."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_process, args=(theirs,), daemon=True)
        self._numbers = count()
        self._lock = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._process.start()
        await asyncio.to_thread(self._pipe.recv)  # it has imported everything, and costs no time from now on
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pipe.send(None)
        await asyncio.to_thread(self._process.join)

    @asynccontextmanager
    async def serving(
        self, role: Role, script: Script, pace: ServerPace | None
    ) -> AsyncIterator[tuple[EndpointConfig, list[Request]]]:
        """Where the server can be reached, and a list that holds its requests once it has stopped."""
        number, requests = next(self._numbers), list[Request]()
        config = await self._ask((number, Wanted(role, script, pace)))
        try:
            yield config, requests
        finally:
            requests += await self._ask((number, None))

    async def _ask(self, command: tuple[int, Wanted | None]) -> Any:
        async with self._lock:
            self._pipe.send(command)
            return await asyncio.to_thread(self._pipe.recv)


def _process(pipe: Connection) -> None:
    with asyncio.Runner(loop_factory=_exact_loop) as runner:
        runner.run(_obey(pipe))


def _exact_loop() -> asyncio.AbstractEventLoop:
    """`epoll` rounds each wait up to a millisecond, which a pace of 3 ms a token would feel; `select` does not."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _obey(pipe: Connection) -> None:
    """Start and stop servers as told, until told None or the parent is gone."""
    running: dict[int, tuple[AsyncExitStack, _Log]] = {}
    pipe.send("ready")
    while (command := await asyncio.to_thread(_received, pipe)) is not None:
        number, wanted = command
        if wanted is not None:
            server = ScriptedServer(
                wanted.script,
                template="think",
                context=_CONTEXT,
                model=f"paced-{wanted.role}",
                pace=wanted.pace,
                cache_blocks=_BLOCKS,
                scale_out=True,
            )
            stack, log = AsyncExitStack(), _Log(server, wanted.role)
            await stack.enter_async_context(server)
            stack.callback(asyncio.create_task(log.keep()).cancel)
            running[number] = stack, log
            pipe.send(server.config)
        else:
            stack, log = running.pop(number)
            await stack.aclose()
            pipe.send(log.taken())


class _Log:
    """Requests of one server without their prompts, which would be a gigabyte for a thousand steps."""

    def __init__(self, server: ScriptedServer, role: Role) -> None:
        self._server = server
        self._role = role
        self._requests: list[Request] = []

    async def keep(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(0.5)
            self.taken()

    def taken(self) -> list[Request]:
        """All that have ended so far."""
        ended = [record for record in self._server.requests if record.ended is not None]
        self._requests += [_request(self._role, record) for record in ended if record.path == COMPLETIONS]
        self._server.requests[:] = [record for record in self._server.requests if record.ended is None]
        return self._requests


def _received(pipe: Connection) -> tuple[int, Wanted | None] | None:
    try:
        return pipe.recv()  # type: ignore[no-any-return]
    except EOFError:
        return None


def _request(role: Role, record: Record) -> Request:
    return Request(
        call="judge" if role == "base" and record.body.get("max_tokens") == 1 else role,
        began=record.began,
        ended=record.ended or record.began,
        prompt_tokens=sum(map(len, record.prompts)),
        cached_tokens=record.cached_tokens,
        tokens=record.tokens,
        aborted=record.aborted,
        size=record.size,
    )
