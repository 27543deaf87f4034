"""A proxy before any server, real ones too, that fails as networks and servers do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from specreason_graph.testing.chance import Chance
from specreason_graph.testing.planned import Plan
from specreason_graph.testing.wire import event
from specreason_graph.testing.wire_fault import WireFault, refusal

_DRIP = 7  # bytes
_INSTEAD = ("refuse", "html", "status", "vanish")  # of a whole answer
_OF_A_HOP = ("transfer-encoding", "content-length", "connection", "keep-alive", "content-encoding", "host")


class FaultProxy:
    """Passes requests on to one server, and answers back as they come; use it as an async context manager.

    Example:
        async with FaultProxy(server.url) as proxy:
            proxy.fail(WireFault("reset", after=5), path="/v1/completions")
            endpoint = connect("base", server.config.model_copy(update={"base_url": proxy.url}))

    Args:
        target: root of the server.
        chance: what requests meet for which nothing is planned.
    """

    def __init__(self, target: str, chance: Chance | None = None) -> None:
        self.url = ""
        """Its address, the same one after a restart."""
        self.requests: list[str] = []
        """Paths of all requests, in the order they came."""
        self._target = target
        self._faults = Plan[WireFault]()
        self._chance = chance

    def fail(self, fault: WireFault, *, path: str | None = None, times: int | None = 1) -> None:
        """Meet coming requests with a fault; those of a path take their turns in the order they were planned.

        Args:
            fault: what goes wrong.
            path: of requests to this path; None is any.
            times: how often; None is always.
        """
        self._faults.add(fault, path, times)

    def heal(self) -> None:
        """Forget what is planned."""
        self._faults.clear()

    async def stop(self) -> None:
        """Drop all connections, and refuse new ones."""
        await self._site.stop()
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def start(self) -> None:
        """Come back, at the same address."""
        self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await self._site.start()

    async def restart(self, seconds: float) -> None:
        """Be gone for so long."""
        await self.stop()
        await asyncio.sleep(seconds)
        await self.start()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None), read_bufsize=2**22
        )
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.0)
        await self._runner.setup()
        self._port = 0
        await self.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        await self._client.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        fault = self._faults.next(request.path)
        if fault is None and self._chance is not None:
            fault = self._chance.of(request.path, await request.read())
        if fault is not None and not fault.is_in_an_answer and not fault.changes_documents:
            return await _struck(fault, request)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OF_A_HOP}
        headers["Accept-Encoding"] = "identity"
        body = await request.read()
        try:
            async with self._client.request(
                request.method, self._target + request.path_qs, data=body, headers=headers
            ) as answer:
                return await self._passed_on(request, answer, fault)
        except aiohttp.ClientConnectorError:
            return web.json_response(refusal(502, "bad gateway"), status=502)
        except (aiohttp.ClientError, ConnectionError):  # it was cut there, or here
            _abort(request)
            return web.Response()

    async def _passed_on(
        self, request: web.Request, answer: aiohttp.ClientResponse, fault: WireFault | None
    ) -> web.StreamResponse:
        streams = answer.content_type == "text/event-stream"
        if fault is not None and fault.kind in _INSTEAD and not streams:
            return await _struck(fault, request)
        headers = {name: value for name, value in answer.headers.items() if name.lower() not in _OF_A_HOP}
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        if fault is None:
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
        elif streams:
            await _events(request, answer, response, fault)
        else:
            await _whole(request, await answer.read(), response, fault)
        return response


async def _struck(fault: WireFault, request: web.Request) -> web.StreamResponse:
    """In place of an answer."""
    if fault.kind == "html":
        return web.Response(text="<html>Welcome to nginx</html>", content_type="text/html")
    if fault.kind in ("status", "vanish"):
        status = 404 if fault.kind == "vanish" else fault.status
        headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
        return web.json_response(refusal(status, "told to fail"), status=status, headers=headers)
    if fault.kind == "stall":
        await asyncio.Event().wait()
    _abort(request)
    return web.Response()


async def _events(
    request: web.Request, answer: aiohttp.ClientResponse, response: web.StreamResponse, fault: WireFault
) -> None:
    """A stream, as far as the fault lets it through."""
    count, size = 0, 0
    async for line in _lines(answer):
        is_event = line.startswith(b"data:") and b"[DONE]" not in line
        if fault.changes_documents and is_event:
            line = b"data: " + fault.changed(line[5:].strip()) + b"\n"
        elif fault.kind == "drip":
            await _dripped(response, line, fault.pause)
            continue
        elif fault.after_bytes is not None and size + len(line) > fault.after_bytes:
            await response.write(line[: fault.after_bytes - size])
            return await _broken(request, response, line, fault)
        elif is_event and fault.after_bytes is None and not fault.changes_documents and count == (fault.after or 0):
            return await _broken(request, response, line, fault)
        await response.write(line)
        count, size = count + is_event, size + len(line)
    return None


async def _whole(request: web.Request, body: bytes, response: web.StreamResponse, fault: WireFault) -> None:
    """An answer in one piece."""
    if fault.changes_documents:
        await response.write(fault.changed(body))
    elif fault.kind == "drip":
        await _dripped(response, body, fault.pause)
    elif fault.kind in ("reset", "stall"):
        await response.write(body[: len(body) // 2 if fault.after_bytes is None else fault.after_bytes])
        await _broken(request, response, body, fault)
    else:
        await response.write(body[: len(body) // 2] if fault.kind == "truncate" else b"{not JSON}")


async def _broken(request: web.Request, response: web.StreamResponse, line: bytes, fault: WireFault) -> None:
    """In the middle of a stream, in place of a line."""
    if fault.kind == "truncate":
        await response.write(line[: len(line) // 2])
    elif fault.kind == "garbage":
        await response.write(b"data: {not JSON}\n\n")
    elif fault.kind in ("status", "vanish"):
        await response.write(event(refusal(404 if fault.kind == "vanish" else fault.status, "told to fail")))
    elif fault.kind == "stall":
        await asyncio.Event().wait()
    else:
        _abort(request)


async def _dripped(response: web.StreamResponse, raw: bytes, pause: float) -> None:
    for at in range(0, len(raw), _DRIP):
        await response.write(raw[at : at + _DRIP])
        await asyncio.sleep(pause)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    while line := await answer.content.readline():
        yield line


def _abort(request: web.Request) -> None:
    with suppress(AttributeError):  # gone already
        request.transport.abort()  # type: ignore[union-attr]
