"""Every way that HTTP can fail as an error of ours."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import (
    UNAUTHORIZED,
    ContextOverflow,
    EndpointBusy,
    EndpointError,
    EndpointFailed,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    TruncatedResponse,
)
from specreason_graph.endpoint import sessions
from specreason_graph.endpoint.breaker import SILENCE
from specreason_graph.endpoint.retries import BUSY

_OVERFLOW = re.compile(
    r"maximum (context|model) length|context (size|length)|exceed_context|max_model_len|max_tokens must be at least",
    re.IGNORECASE,
)

_SCHEME = re.compile(r"(basic|bearer) \S", re.IGNORECASE)
"""Of a header whose secret is behind it: a server that tells it tells that part alone."""

_IMAGE = re.compile(
    r"(data:[\w./+;=-]{0,99},|(?=iVBORw0KGgo|R0lGOD|UklGR|\\?/9j\\?/))[\w+/=%\\-]+",
    re.IGNORECASE,
)
"""A data URL, or how the base64 of a PNG, GIF, WebP or JPEG begins: some servers quote a request that they refuse."""

told_failures: ContextVar[Callable[[EndpointError], None] | None] = ContextVar("specreason_told_failures", default=None)
"""Is told each failed try of its context, those too that another try, another replica or the run itself makes good."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Those of one server, as they are told: with its name, and without its key."""

    _name: str
    _config: EndpointConfig

    def refusal(self, status: int, body: str, wait: float | None = None) -> EndpointError:
        """The error for a status of 400 and more; `wait` is what the server asks for before another try (seconds)."""
        message = f"{self._name} answered {status}: {self.redacted(_message(body))[:400]}"
        error: EndpointError
        if status in BUSY:
            error = EndpointBusy(message, status)
        elif status < 500 and _OVERFLOW.search(body):
            error = ContextOverflow(message)
        elif status < 500:
            hint = " (set the endpoint's api_key)" if status in UNAUTHORIZED else ""
            error = EndpointRefused(message + hint, status)
        else:
            error = EndpointFailed(message, status)
        error.retry_after = wait
        return error

    def redacted(self, text: str) -> str:
        """A server's text without what is secret, and without a user's image."""
        headers = [value.get_secret_value() for value in self._config.headers.values()]
        secrets = {*headers, *(value.partition(" ")[2] for value in headers if _SCHEME.match(value))}
        if self._config.api_key is not None:
            secrets.add(self._config.api_key.get_secret_value())
        for secret in sorted(filter(None, secrets), key=len, reverse=True):  # one may begin with another
            text = text.replace(secret, "***")
        return _IMAGE.sub(r"\1***", text)

    @asynccontextmanager
    async def translated(self) -> AsyncIterator[None]:
        """Around a request and the reading of its answer.

        Raises:
            EndpointError: for whatever the HTTP client raised.
        """
        error: EndpointError
        try:
            yield
            return
        except EndpointError as failed:  # some are errors of connection, too
            _tell(failed)
            raise
        except aiohttp.ConnectionTimeoutError:
            error = EndpointUnreachable(
                f"{self._name} can't be reached within {sessions.CONNECT:g} s (is the server up, and base_url right?)"
            )
            error.retry_after = SILENCE
        except (TimeoutError, aiohttp.ServerTimeoutError):
            error = EndpointTimeout(
                f"{self._name} sent nothing for {self._config.timeout:g} s (raise the endpoint's timeout)"
            )
            error.retry_after = SILENCE
        except (aiohttp.ClientPayloadError, HttpProcessingError) as broken:
            error = TruncatedResponse(f"{self._name}: the answer broke off ({self.redacted(str(broken))[:200]})")
        except (aiohttp.ClientError, OSError) as broken:
            error = EndpointUnreachable(
                f"{self._name} can't be reached: {self.redacted(str(broken)) or type(broken).__name__}"
                " (is the server up, and base_url right?)"
            )
        _tell(error)
        raise error


def _tell(error: EndpointError) -> None:
    listener = told_failures.get()
    if listener is not None:
        listener(error)


def _message(body: str) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body.strip() or "no message"
    error = document.get("error", document) if isinstance(document, dict) else document
    return str(error.get("message", error) if isinstance(error, dict) else error)
