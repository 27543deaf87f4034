"""Every error this package raises on purpose.

Two trees, so a caller can tell "change your settings" from "the server failed":
`ConfigError` for what the user asked for, `EndpointError` for what a model server did. They are Python's own, too:
LangGraph's server hides the message of any other, and a `RetryPolicy` tries again where a connection was lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_Model = TypeVar("_Model", bound=BaseModel)


class SpecReasonError(Exception):
    """Root of all errors; `steps` holds the reasoning steps that were kept before it was raised."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.steps: list[Any] = []


class ConfigError(SpecReasonError, ValueError):
    """A setting, preset or question that can't work; the message names the setting and the fix."""


class NoRoom(ConfigError):
    """The conversation and the answer's budget leave no room to reason in the models' contexts."""


class WeightsError(SpecReasonError, RuntimeError):
    """A model's file can't be fetched, or is not the file its checksum says."""


class EndpointError(SpecReasonError, RuntimeError):
    """A model server failed; the message begins with the endpoint's name and address."""


class EndpointUnreachable(EndpointError, ConnectionError):
    """Nothing answers at the address, or the connection broke before an answer."""


class EndpointTimeout(EndpointError, ConnectionError):
    """The server took longer than the endpoint's `timeout` (seconds)."""


class EndpointRefused(EndpointError):
    """The server refused the request (HTTP 4xx)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class EndpointFailed(EndpointError, ConnectionError):
    """The server broke while answering (HTTP 5xx)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class MalformedResponse(EndpointError):
    """The answer is not of the shape that the dialect promises."""


class TruncatedResponse(EndpointError, ConnectionError):
    """A stream ended before its last event."""


class NoLogprobs(EndpointError):
    """The server answered without the log-probabilities that were asked for."""


class ContextOverflow(EndpointError):
    """The prompt does not fit the model's context."""


def checked(model: type[_Model], values: Mapping[str, object]) -> _Model:
    """Validate `values`, turning pydantic's report into one line a field.

    Raises:
        ConfigError: a value is impossible or unknown; the message names the field.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise in_one_line(error, model) from None


def in_one_line(error: ValidationError, model: type[BaseModel]) -> ConfigError:
    """pydantic's report as an error of ours; one that a validator raised stays what it is."""
    return ConfigError("; ".join(_line(found, model) for found in error.errors()))


def _line(found: ErrorDetails, model: type[BaseModel]) -> str:
    raised = found.get("ctx", {}).get("error")
    if isinstance(raised, ConfigError):
        return str(raised)
    said = found["msg"].removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        meant = get_close_matches(str(found["loc"][-1]), model.model_fields, 1)
        said = f"there is no such field{f'; did you mean {meant[0]}?' if meant else ''}"
    return f"{'.'.join(map(str, found['loc'])) or model.__name__}: {said}"
