"""Every error this package raises on purpose.

Two trees, so a caller can tell "change your settings" from "the server failed":
`ConfigError` for what the user asked for, `EndpointError` for what a model server did. They are Python's own, too:
LangGraph's server hides the message of any other, and a `RetryPolicy` tries again where a connection was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_Model = TypeVar("_Model", bound=BaseModel)
_Error = TypeVar("_Error", bound="SpecReasonError")

UNAUTHORIZED = (401, 403)
"""Statuses of a server that wants another key: our settings are at fault, and not the server."""


_LONGEST = 100
"""Characters of a name that may be a mistyped field's; to compare a long one takes a while."""


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

    retry_after: float | None = None
    """Seconds after which another try makes sense, where the server has said so, or the client leaves it alone."""

    @property
    def role(self) -> Literal["base", "draft"] | None:
        """Whose server failed: an endpoint's name begins with its role. None: it is called otherwise."""
        match str(self).partition(" ")[0]:
            case "base":
                return "base"
            case "draft":
                return "draft"
        return None


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


class EndpointBusy(EndpointFailed):
    """The server, or a limit before it, takes no more requests for now (HTTP 408, 429, 503)."""


class MalformedResponse(EndpointError):
    """The answer is not of the shape that the dialect promises."""


class TruncatedResponse(EndpointError, ConnectionError):
    """A stream ended before its last event."""


class NoLogprobs(EndpointError):
    """The server answered without the log-probabilities that were asked for."""


class ContextOverflow(EndpointError):
    """The prompt does not fit the model's context."""


def retold(error: _Error, message: str | None = None) -> _Error:
    """A copy of an error, with another message if one is given: a run puts its own steps into the one it raises."""
    copied = (OSError if isinstance(error, OSError) else Exception).__new__(type(error))  # some are Python's own, too
    copied.args = error.args if message is None else (message,)
    copied.__dict__.update(error.__dict__, steps=list(error.steps))
    return copied


def checked(model: type[_Model], values: Mapping[str, object]) -> _Model:
    """Validate `values`, turning pydantic's report into one line a field.

    Raises:
        ConfigError: a value is impossible or unknown; the message names the field.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        refused = in_one_line(error, model)
    raise refused  # here, so that no key hangs on it in what it was raised from


def in_one_line(error: ValidationError, model: type[BaseModel], *, known_as: Callable[[str], str] = str) -> ConfigError:
    """pydantic's report as an error of ours; one that a validator raised stays what it is.

    Args:
        error: what pydantic found; the values themselves are never told.
        model: what was validated.
        known_as: the name by which the user knows a field of the model.
    """
    return ConfigError("; ".join(_line(found, model, known_as) for found in error.errors(include_input=False)))


def _line(found: ErrorDetails, model: type[BaseModel], known_as: Callable[[str], str]) -> str:
    raised = found.get("ctx", {}).get("error")
    if isinstance(raised, ConfigError):
        return str(raised)
    said = found["msg"].removeprefix("Value error, ")
    if found["type"] == "extra_forbidden":
        meant = get_close_matches(str(found["loc"][-1])[:_LONGEST], model.model_fields, 1)
        said = f"there is no such field{f'; did you mean {meant[0]}?' if meant else ''}"
    first, *more = found["loc"] or (model.__name__,)
    return f"{'.'.join([known_as(str(first)) if found['loc'] else str(first), *map(str, more)])}: {said}"
