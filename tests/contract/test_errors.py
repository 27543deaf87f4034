"""Errors are told where ours are unknown: by LangGraph's server, its retries, and pydantic."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.types import RetryPolicy
from langgraph_api.serde import default  # type: ignore[import-untyped]
from pydantic import BaseModel, field_validator

from specreason_graph.contract import errors
from specreason_graph.contract.errors import (
    ConfigError,
    EndpointError,
    EndpointFailed,
    EndpointRefused,
    SpecReasonError,
    checked,
)

OURS = [
    error
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, SpecReasonError) and error is not SpecReasonError
]


def made(error: type[SpecReasonError]) -> SpecReasonError:
    if issubclass(error, EndpointFailed | EndpointRefused):
        return error("what is wrong", 500)
    return error("what is wrong")


@pytest.mark.parametrize("error", OURS)
def test_langgraphs_server_shows_the_message(error: type[SpecReasonError]) -> None:
    assert default(made(error)) == {"error": error.__name__, "message": "what is wrong"}
    assert (str(made(error)), made(error).args, made(error).steps) == ("what is wrong", ("what is wrong",), [])


@pytest.mark.parametrize("error", OURS)
def test_langgraph_tries_again_only_what_may_pass(error: type[SpecReasonError]) -> None:
    may_pass = {"EndpointUnreachable", "EndpointTimeout", "EndpointFailed", "EndpointBusy", "TruncatedResponse"}
    again: Any = RetryPolicy().retry_on
    assert again(made(error)) == (error.__name__ in may_pass)


def test_the_two_trees_are_apart() -> None:
    assert not issubclass(ConfigError, EndpointError)
    assert not any(issubclass(error, ConfigError) and issubclass(error, EndpointError) for error in OURS)


def test_an_error_of_ours_in_a_validator_stays_one_line() -> None:
    class Thing(BaseModel):
        size: int
        name: str

        @field_validator("name")
        @classmethod
        def _known(cls, name: str) -> str:
            raise ConfigError(f"name: there is no {name!r}")

    with pytest.raises(ConfigError, match=r"^size: .*valid integer.*; name: there is no 'x'$"):
        checked(Thing, {"size": "big", "name": "x"})
