"""One pooled client a server, and every way HTTP can fail as an error of ours."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.http_exceptions import LineTooLong
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random_exponential
from yarl import URL

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import (
    ContextOverflow,
    EndpointError,
    EndpointFailed,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    MalformedResponse,
    SpecReasonError,
    TruncatedResponse,
)
from specreason_graph.endpoint.ids import encoded

_KEEP_ALIVE = 4.0  # seconds; vLLM drops idle connections after 5
_CONNECT = 10.0  # seconds for a connection; a server that takes as long is not asked a second time
_OVERFLOW = re.compile(
    r"maximum (context|model) length|context (size|length)|exceed_context|max_model_len|max_tokens must be at least",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Session:
    client: aiohttp.ClientSession
    closing: AsyncGenerator[None, None]
    streams: asyncio.Semaphore
    """One connection stays free of streams: who reads one may have to look something up before it goes on."""


class Http:
    """Requests to one server; a session a running event loop, since aiohttp binds to its loop."""

    def __init__(self, role: str, config: EndpointConfig) -> None:
        self.name = f"{role} endpoint {URL(config.base_url).with_user(None)}"
        self._config = config
        self._run: dict[str, str] = {}
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}

    def pinned(self, session: str) -> Http:
        """The same connections, for requests that name their run: a router keeps a session on one server."""
        view = copy(self)
        view._run = {"X-Session-ID": session}
        return view

    async def get(self, path: str) -> Any:
        """GET a JSON document."""
        async with self._open("GET", path, None) as response:
            return await self._json(response)

    async def text(self, path: str) -> str:
        """GET plain text."""
        async with self._open("GET", path, None) as response:
            return await response.text(errors="replace")

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST a JSON document, and the answer's."""
        async with self._open("POST", path, body) as response:
            return await self._json(response)

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """POST, then yield each server-sent event's document; leaving early closes the connection."""
        async with (await self._session()).streams, self._open("POST", path, body) as response:
            if response.content_type != "text/event-stream":
                raise self.malformed(f"answered {response.content_type}, not a stream of events")
            while line := await self._line(response):
                event = self._event(line)
                if event is not None:
                    yield event

    async def aclose(self) -> None:
        """Close all connections: this loop's at once, those of other threads' loops as soon as they come to it."""
        here = asyncio.get_running_loop()
        for loop, session in list(self._sessions.items()):
            if loop is here:
                await session.closing.aclose()
            elif loop.is_running():  # not waited for: that loop may be waiting for this one
                loop.call_soon_threadsafe(_begin_closing, session.closing)

    def malformed(self, what: str) -> MalformedResponse:
        """The error for an answer that is not of the promised shape."""
        return MalformedResponse(f"{self.name}: {what}; is its dialect ({self._config.dialect}) right?")

    @contextmanager
    def shape(self, path: str) -> Iterator[None]:
        """Around the reading of an answer: what it lacks is a `MalformedResponse`."""
        try:
            yield
        except SpecReasonError:  # some are ValueErrors, too
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise self.malformed(f"{path} answers in another shape ({type(error).__name__}: {error})") from None

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        retrying = AsyncRetrying(
            retry=retry_if_exception(is_passing),
            stop=stop_after_attempt(4) | stop_after_delay(_CONNECT),
            wait=wait_random_exponential(multiplier=0.2, max=2.0),
            reraise=True,
        )
        async with self._translated():
            response: aiohttp.ClientResponse = await retrying(self._send, method, path, body)
            async with response:
                yield response

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> aiohttp.ClientResponse:
        async with self._translated():
            response = await (await self._session()).client.request(
                method,
                self._config.base_url + path,
                data=None if body is None else encoded(body),
                headers=self._run,
            )
            if response.status >= 400:
                async with response:
                    raise self._refusal(response.status, await response.text(errors="replace"))
            return response

    async def _session(self) -> _Session:
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            for ended in [other for other in self._sessions.copy() if other.is_closed()]:
                self._sessions.pop(ended, None)  # without `asyncio.run`, nothing closes what is left open
            headers = {name: value.get_secret_value() for name, value in self._config.headers.items()}
            if self._config.api_key is not None:
                headers["Authorization"] = f"Bearer {self._config.api_key.get_secret_value()}"
            client = aiohttp.ClientSession(
                headers={"Content-Type": "application/json", **headers},
                connector=aiohttp.TCPConnector(limit=self._config.connections, keepalive_timeout=_KEEP_ALIVE),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=self._config.timeout),
                read_bufsize=2**20,  # an event with 500 log-probabilities is one long line
            )
            streams = asyncio.Semaphore(self._config.connections - 1)
            self._sessions[loop] = _Session(client, self._closing(client, loop), streams)
            await anext(self._sessions[loop].closing)
        return self._sessions[loop]

    async def _closing(
        self, client: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop
    ) -> AsyncGenerator[None, None]:
        """Closes a client when its loop ends: `asyncio.run` closes every generator that is still open."""
        try:
            yield
        finally:
            self._sessions.pop(loop, None)
            await client.close()

    async def _json(self, response: aiohttp.ClientResponse) -> Any:
        raw = await response.read()
        try:
            return json.loads(raw)
        except ValueError:
            raise self.malformed(f"answered {self._redacted(raw[:80].decode(errors='replace'))!r}, not JSON") from None

    async def _line(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await response.content.readline()
        except (ValueError, LineTooLong):  # an older aiohttp's, and a newer one's
            raise self.malformed("an event is longer than 2 MiB") from None

    def _event(self, line: bytes) -> dict[str, Any] | None:
        if not line.startswith(b"data:") or line.strip() == b"data: [DONE]":
            return None
        try:
            event = json.loads(line[5:])
        except ValueError:
            raise TruncatedResponse(f"{self.name}: a stream broke inside an event") from None
        if not isinstance(event, dict):
            raise self.malformed(f"an event is no object but {self._redacted(str(event))[:80]}")
        if error := event.get("error"):
            status = error.get("code") if isinstance(error, dict) else None
            raise self._refusal(status if isinstance(status, int) and status >= 400 else 500, json.dumps(event))
        return event

    def _refusal(self, status: int, body: str) -> EndpointError:
        message = f"{self.name} answered {status}: {self._redacted(_message(body))[:400]}"
        if status < 500 and _OVERFLOW.search(body):
            return ContextOverflow(message)
        if status in (401, 403):
            message += " (set the endpoint's api_key)"
        return EndpointRefused(message, status) if status < 500 else EndpointFailed(message, status)

    def _redacted(self, text: str) -> str:
        secrets = [*self._config.headers.values(), *filter(None, [self._config.api_key])]
        for secret in filter(None, (s.get_secret_value() for s in secrets)):
            text = text.replace(secret, "***")
        return text

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except EndpointError:  # some are errors of connection, too
            raise
        except aiohttp.ConnectionTimeoutError:
            raise EndpointUnreachable(
                f"{self.name} can't be reached within {_CONNECT:g} s (is the server up, and base_url right?)"
            ) from None
        except (TimeoutError, aiohttp.ServerTimeoutError):
            raise EndpointTimeout(
                f"{self.name} sent nothing for {self._config.timeout:g} s (raise the endpoint's timeout)"
            ) from None
        except aiohttp.ClientPayloadError as error:
            raise TruncatedResponse(f"{self.name}: the answer broke off ({error})") from None
        except (aiohttp.ClientError, OSError) as error:
            raise EndpointUnreachable(
                f"{self.name} can't be reached: {self._redacted(str(error)) or type(error).__name__}"
                " (is the server up, and base_url right?)"
            ) from None


def _begin_closing(closing: AsyncGenerator[None, None]) -> None:
    async def close() -> None:
        await closing.aclose()

    asyncio.get_running_loop().create_task(close(), name="specreason-close")  # the loop's end waits


def is_passing(error: BaseException) -> bool:
    """Whether a second try, or another server, may not meet this: a dropped connection or a full queue."""
    if isinstance(error, EndpointFailed):
        return error.status == 503
    return isinstance(error, EndpointUnreachable)


def _message(body: str) -> str:
    try:
        document = json.loads(body)
    except ValueError:
        return body.strip() or "no message"
    error = document.get("error", document) if isinstance(document, dict) else document
    return str(error.get("message", error) if isinstance(error, dict) else error)
