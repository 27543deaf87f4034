"""Requests to one server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from copy import copy
from typing import Any, TypeVar

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from yarl import URL

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import (
    EndpointBusy,
    EndpointError,
    EndpointTimeout,
    MalformedResponse,
    SpecReasonError,
    TruncatedResponse,
    retold,
)
from specreason_graph.endpoint import sessions
from specreason_graph.endpoint.breaker import Breaker
from specreason_graph.endpoint.failures import Failures
from specreason_graph.endpoint.ids import decoded, encoded
from specreason_graph.endpoint.load import ASKS, Heard, waiting
from specreason_graph.endpoint.retries import GONE, asked_to_wait, is_passing, patience_with, retrying

_UNKNOWN = 1.0  # seconds in which a server is tried again that has never answered: its address may be wrong

_SILENT = 0.9  # of a timeout in a stream: what was answered before, as look-ups of its last token, tells nothing of it

_Answer = TypeVar("_Answer")


class Http:
    """Requests to one server.

    A request is tried again by the one rule of `retries`, up to the first event of a stream; what is known of the
    server (`breaker`) holds for all of them, in the event loops of all threads.
    """

    def __init__(self, role: str, config: EndpointConfig, heard: Heard | None = None) -> None:
        self._heard = heard
        self.name = f"{role} endpoint {URL(config.base_url).with_user(None)}"
        self._config = config
        self._most_patience = patience_with(role, config)
        self._run: dict[str, str] = {} if heard is None else {**ASKS}
        self._sessions = sessions.Sessions(config)
        self._failures = Failures(self.name, config)
        self._breaker = Breaker()

    def pinned(self, session: str) -> Http:
        """The same connections, for requests that name their run: a router keeps a session on one server."""
        view = copy(self)
        view._run = {**self._run, "X-Session-ID": session}
        return view

    async def get(self, path: str) -> Any:
        """GET a JSON document."""
        return await self._tried(self._whole, "GET", path, None, self._json)

    async def text(self, path: str) -> str:
        """GET plain text."""
        return await self._tried(self._whole, "GET", path, None, _text)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST a JSON document, and the answer's."""
        return await self._tried(self._whole, "POST", path, body, self._json)

    async def events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        """POST, then yield each server-sent event's document; leaving early closes the connection."""

        async with (await self._sessions.here()).streams:
            stream, event = await self._tried(self._begun, path, body)
            async with aclosing(stream):
                while event is not None:
                    yield event
                    try:
                        event = await anext(stream, None)
                    except EndpointTimeout as error:
                        self._breaker.lost(error, time.monotonic() - _SILENT * self._config.timeout, doubtful=True)
                        raise

    async def aclose(self) -> None:
        """Close all connections: this loop's at once, those of other threads' loops as soon as they come to it."""
        await self._sessions.aclose()

    def malformed(self, what: str) -> MalformedResponse:
        """The error for an answer that is not of the promised shape."""
        said = self._failures.redacted(what)  # it may quote the answer
        return MalformedResponse(f"{self.name}: {said}; is its dialect ({self._config.dialect}) right?")

    @contextmanager
    def shape(self, path: str) -> Iterator[None]:
        """Around the reading of an answer: what it lacks is a `MalformedResponse`."""
        try:
            yield
        except SpecReasonError:  # some are ValueErrors, too
            raise
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise self.malformed(f"{path} answers in another shape ({type(error).__name__}: {error})") from None

    async def _tried(self, request: Callable[..., Awaitable[_Answer]], *args: Any) -> _Answer:
        """What a request comes to, with as many tries as make sense."""
        began, again = time.monotonic(), retrying(self._patience, self._is_worth_a_try)
        try:
            answer: _Answer = await again(request, *args)
            return answer
        except EndpointBusy as error:
            tries, seconds = again.statistics["attempt_number"], time.monotonic() - began
            asks = "" if error.retry_after is None else f", it asks to wait {error.retry_after:.0f} s"
            raise retold(
                error,
                f"{error} (tries: {tries} in {seconds:.1f} s{asks}; have fewer runs at once, add a replica, or raise "
                "the server's limit or the endpoint's patience)",
            ) from None
        except EndpointError as error:
            if is_passing(error) and self._breaker.is_closed:
                self._breaker.lost(error, began)
            raise

    def _patience(self) -> float:
        known = self._breaker.answered_at is not None
        return self._most_patience if known else min(self._most_patience, _UNKNOWN)

    def _is_worth_a_try(self, error: BaseException) -> bool:
        return is_passing(error) and self._breaker.is_closed

    async def _whole(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        read: Callable[[aiohttp.ClientResponse], Awaitable[_Answer]],
    ) -> _Answer:
        client = await self._admitted()
        async with self._failures.translated(), await self._send(client, method, path, body) as response:
            async with asyncio.timeout(self._config.timeout):  # bytes may drip for ever
                return await read(response)

    async def _begun(
        self, path: str, body: Mapping[str, Any]
    ) -> tuple[AsyncGenerator[dict[str, Any], None], dict[str, Any] | None]:
        """A stream and its first event."""
        stream = self._stream(path, body)
        event = await anext(stream, None)
        if event is None:
            raise TruncatedResponse(f"{self.name}: a stream ended before its first event")
        return stream, event

    async def _stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
        client = await self._admitted()
        async with self._failures.translated(), await self._send(client, "POST", path, body) as response:
            if response.content_type != "text/event-stream":
                raise self.malformed(f"answered {response.content_type}, not a stream of events")
            came = time.monotonic()
            while line := await self._line(response):
                self._breaker.answered()
                event = self._event(line)
                if event is not None:
                    yield event
                    came = time.monotonic()
                elif time.monotonic() > came + self._config.timeout:  # comments can keep a stream alive for ever
                    raise TimeoutError

    async def _admitted(self) -> aiohttp.ClientSession:
        """What to send a request with; one that the breaker keeps back is told to nobody: nothing failed anew."""
        client = (await self._sessions.here()).client
        if self._breaker.enter(sessions.CONNECT):
            await self._look(client)
        return client

    async def _send(
        self, client: aiohttp.ClientSession, method: str, path: str, body: Mapping[str, Any] | None
    ) -> aiohttp.ClientResponse:
        data = None if body is None else encoded(body)
        response = await client.request(method, self._config.base_url + path, data=data, headers=self._run)
        if response.status not in GONE:
            self._breaker.answered()
        if self._heard is not None and (said := waiting(response.headers)) is not None:
            self._heard(said)
        if response.status >= 400:
            async with response:
                wait = asked_to_wait(response.headers.get("Retry-After"))
                raise self._failures.refusal(response.status, await _text(response), wait)
        return response

    async def _look(self, client: aiohttp.ClientSession) -> None:
        """Whether a server that was gone answers anything, which both dialects do here; a request may take minutes.

        Raises:
            EndpointError: it does not.
        """
        timeout = aiohttp.ClientTimeout(total=sessions.CONNECT, sock_connect=sessions.CONNECT)
        found = False
        try:
            async with client.get(f"{self._config.base_url}/v1/models", headers=self._run, timeout=timeout) as response:
                found = response.status not in GONE
        except (aiohttp.ClientError, HttpProcessingError, OSError):
            pass
        except BaseException:
            self._breaker.not_looked()
            raise
        if found:
            self._breaker.answered()
        else:
            self._breaker.still_lost()

    async def _json(self, response: aiohttp.ClientResponse) -> Any:
        raw = await response.read()
        try:
            return decoded(raw)
        except (ValueError, RecursionError):
            if raw.lstrip()[:1] in (b"{", b"[") and raw.rstrip()[-1:] not in (b"}", b"]"):
                raise TruncatedResponse(f"{self.name}: the answer broke off inside its JSON") from None
            said = self._failures.redacted(raw.decode(errors="replace"))  # before it is cut: half a key is one as well
            raise self.malformed(f"answered {said[:80]!r}, not JSON") from None

    async def _line(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await response.content.readline()
        except (ValueError, LineTooLong):  # an older aiohttp's, and a newer one's
            raise self.malformed("an event is longer than 2 MiB") from None

    def _event(self, line: bytes) -> dict[str, Any] | None:
        if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
            return None
        try:
            event = decoded(line[5:])
        except (ValueError, RecursionError):
            raise TruncatedResponse(f"{self.name}: a stream broke inside an event") from None
        if not isinstance(event, dict):
            raise self.malformed(f"an event is no object but {self._failures.redacted(str(event))[:80]}")
        if error := event.get("error"):
            status = error.get("code") if isinstance(error, dict) else None
            raise self._failures.refusal(
                status if isinstance(status, int) and status >= 400 else 500, json.dumps(event)
            )
        return event


async def _text(response: aiohttp.ClientResponse) -> str:
    return (await response.read()).decode(errors="replace")  # its own `text` fails on a charset that it does not know
