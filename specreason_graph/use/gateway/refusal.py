"""Errors as clients of OpenAI's API know them: a status, and `{"error": {message, type, param, code}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from specreason_graph.contract.errors import (
    ConfigError,
    ContextOverflow,
    EndpointError,
    EndpointTimeout,
    EndpointUnreachable,
    NoRoom,
)
from specreason_graph.contract.settings import Settings

_RETRY_AFTER = "5"
"""Seconds; a run takes some, and clients of OpenAI's double them on their own."""

_PARAMS = {"messages", *Settings.model_fields}


class Refusal(Exception):
    """A request that gets no answer."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
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
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": _RETRY_AFTER} if self.status == 503 else {}


def refusal(error: Exception) -> Refusal:
    """What a client is told of an error; what nobody foresaw is told to the log alone."""
    message = str(error)
    match error:
        case Refusal():
            return error
        case RequestValidationError():
            return _malformed(error)
        case HTTPException():  # no such path, or another method
            return Refusal(error.status_code, error.detail)
        case NoRoom() | ContextOverflow():
            return Refusal(400, message, param="messages", code="context_length_exceeded")
        case ConfigError():
            return Refusal(400, message, param=_param(message))
        case EndpointUnreachable():
            return Refusal(503, message, code="model_unreachable")
        case EndpointTimeout():
            return Refusal(504, message, code="model_timeout")
        case EndpointError():
            return Refusal(502, message, code="model_failed")
    return Refusal(500, "internal error; the gateway's log has it", code="internal_error")


def _param(message: str) -> str | None:
    """What a message begins with, or says behind the name of all settings; of a list, the place in it follows."""
    names = (part.partition(".")[0] for part in message.split(": ")[:2])
    return next((name for name in names if name in _PARAMS), None)


def _malformed(error: RequestValidationError) -> Refusal:
    found = [(list(map(str, it["loc"][1:])), it["msg"].removeprefix("Value error, ")) for it in error.errors()]
    message = "; ".join(f"{'.'.join(place) or 'body'}: {what}" for place, what in found)
    param = found[0][0][0] if found[0][0] else None
    return Refusal(400, message, param=param)
