"""Errors as clients of OpenAI's API know them: a status, and `{"error": {message, type, param, code}}`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from starlette.exceptions import HTTPException

from specreason_graph.contract.errors import (
    ConfigError,
    ContextOverflow,
    EndpointBusy,
    EndpointError,
    EndpointTimeout,
    EndpointUnreachable,
    NoRoom,
)
from specreason_graph.contract.settings import Settings

_RETRY_AFTER = 5
"""Seconds; a run takes some, and clients of OpenAI's double them on their own."""

_PARAMS = {"messages", *Settings.model_fields}
_MOST_MISTAKES = 5
"""How many of a request's are told; a long request may hold thousands."""
_LONGEST = 1000
"""Characters of a message; it may quote the request."""
_ADDRESS = re.compile(r" ?\bhttps?://\S*[^\s,;:.'\"()]")


class Refusal(Exception):
    """A request that gets no answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        scheme: str = "Bearer",
    ) -> None:
        """`retry_after` in seconds; a 503 has some in any case. `scheme`: how a 401 asks for the key."""
        super().__init__(message)
        self.status = status
        self._retry_after = retry_after
        self._scheme = f'{scheme} realm="specreason"' if scheme == "Basic" else scheme
        self.code = code
        self._error = {
            "message": message,
            "type": "invalid_request_error" if status < 500 else "server_error",
            "param": param,
            "code": code,
        }

    @property
    def document(self) -> dict[str, Any]:
        """What the client gets to read."""
        return {"error": self._error}

    @property
    def headers(self) -> Mapping[str, str]:
        """What the client's next try is to go by."""
        if self.status == 401:
            return {"WWW-Authenticate": self._scheme}
        leave = {"Connection": "close"} if self.code == "stopping" else {}  # and ask whoever takes over
        seconds = _RETRY_AFTER if self._retry_after is None else max(1, math.ceil(self._retry_after))
        return {"Retry-After": str(seconds), **leave} if self.status == 503 else {}


def stopping() -> Refusal:
    """For requests that come, and runs that still go on, when the gateway ends."""
    return Refusal(503, "the gateway is stopping", code="stopping")


def refusal(error: Exception, request: str) -> Refusal:
    """What a client is told of an error: no address and no server's own words, which the log has under the request.

    Args:
        error: what was raised; what nobody foresaw is told to the log alone.
        request: id of the request.
    """
    message = _ADDRESS.sub("", str(error))[:_LONGEST]
    match error:
        case Refusal():
            return error
        case HTTPException():  # no such path, or another method
            return Refusal(error.status_code, error.detail)
        case NoRoom():
            return Refusal(400, message, param="messages", code="context_length_exceeded")
        case ContextOverflow():
            said = f"messages: more than the {_whose(error)}'s context holds; send a shorter conversation"
            return Refusal(400, said, param="messages", code="context_length_exceeded")
        case ConfigError():
            return Refusal(400, message, param=_param(message))
        case EndpointBusy():
            said = f"the {_whose(error)} is busy (request {request})"
            return Refusal(503, said, code="model_busy", retry_after=error.retry_after)
        case EndpointUnreachable():
            said = f"the {_whose(error)} can't be reached (request {request})"
            return Refusal(503, said, code="model_unreachable", retry_after=error.retry_after)
        case EndpointTimeout():
            return Refusal(504, f"the {_whose(error)} took too long (request {request})", code="model_timeout")
        case EndpointError():
            return Refusal(502, f"the {_whose(error)} failed (request {request})", code="model_failed")
    return Refusal(500, f"internal error; the gateway's log has it (request {request})", code="internal_error")


def _whose(error: EndpointError) -> str:
    return f"{error.role} model" if error.role else "model"


def _param(message: str) -> str | None:
    """What a message begins with, or says behind the name of all settings; of a list, the place in it follows."""
    names = (part.partition(".")[0] for part in message.split(": ")[:2])
    return next((name for name in names if name in _PARAMS), None)


def malformed(error: ValidationError) -> Refusal:
    """Of a body that is no request."""
    mistakes = error.errors(include_url=False, include_input=False)
    told = mistakes[:_MOST_MISTAKES]
    found = [(list(map(str, it["loc"])), it["msg"].removeprefix("Value error, ")) for it in told]
    more = f"; and {len(mistakes) - len(told)} more" if len(mistakes) > len(told) else ""
    message = "; ".join(f"{'.'.join(place) or 'body'}: {what[:_LONGEST]}" for place, what in found) + more
    return Refusal(400, message, param=found[0][0][0] if found[0][0] else None)
