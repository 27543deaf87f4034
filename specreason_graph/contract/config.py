"""Where the two models are served: given when the graph is built, or by `SPECREASON_…` variables.

Endpoints hold keys and addresses, so they are never part of a run's settings: a client that could set a
`base_url` per run could have the server's key sent anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from json import JSONDecodeError
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from specreason_graph.contract.addresses import Address, Headers, ImageAddress, Secret, user_of
from specreason_graph.contract.errors import ConfigError, checked, in_one_line
from specreason_graph.contract.small_files import small_text

Dialect = Literal["vllm", "llamacpp"]

_FILE_VARIABLE = "SPECREASON_ENV_FILE"


class EndpointConfig(BaseModel):
    """One model server, or several that serve the same model.

    A user and password in the addresses become the header that they are sent as: addresses are shown and written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base_url: Address = Field(description="Root of the server, such as http://127.0.0.1:8000")
    replicas: tuple[Address, ...] = Field(
        default=(), description="More servers of the same model, reached with the same key; a run keeps to one of them"
    )
    model: str | None = Field(default=None, description="Served model name; None takes the only one served")
    api_key: Secret | None = Field(default=None, description="Sent as a bearer token")
    timeout: float = Field(
        default=600.0, gt=0, allow_inf_nan=False, description="Seconds to wait for the server's next bytes"
    )
    patience: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Seconds in which a request is tried again where the server is busy (408, 429, 503), its gateway "
        "does not reach it (502, 504) or connections drop; a `Retry-After` is waited for within them; 0 tries once; "
        "None is 10 for base, and 2 for a draft, without which base goes on",
    )
    connections: int = Field(
        default=256, ge=4, description="Connections to a server at most; further requests wait for one"
    )
    headers: Headers = Field(default_factory=dict, description="Sent with every request")
    dialect: Dialect = Field(default="vllm", description="Which server it is: vLLM, or llama.cpp's server")
    full_likelihood: bool = Field(
        default=False,
        description="Have base read a step's likelihood in one prompt instead of one a spot; vLLM versions that the "
        "tests have proven, started with --enable-scale-out --enable-prompt-tokens-details",
    )

    @model_validator(mode="before")
    @classmethod
    def _logs_in_by_header(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        replicas, headers = values.get("replicas", ()), values.get("headers") or {}
        if not isinstance(replicas, list | tuple) or not isinstance(headers, Mapping):
            return values  # the fields' own validators refuse them
        users = {user_of(url) for url in (values.get("base_url"), *replicas)}
        if len(users) > 1:
            raise ValueError("base_url and replicas: give each address the same user and password, or none of them")
        if (user := users.pop()) is None:
            return values
        if values.get("api_key") or any(str(name).lower() == "authorization" for name in headers):
            raise ValueError("base_url: give its user and password, or the key, or the header Authorization")
        return {**values, "headers": {**headers, "Authorization": user}}

    @model_validator(mode="after")
    def _only_vllm_reads_whole_prompts(self) -> Self:
        if self.full_likelihood and self.dialect != "vllm":
            raise ValueError("full_likelihood is an option of vLLM; turn it off for other dialects")
        return self


class PairConfig(BaseModel):
    """A base model and the draft model that works for it."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    base: EndpointConfig
    draft: EndpointConfig
    preset: str | None = Field(default=None, description="Preset of this pair; None finds it by the models' names")
    image_urls: tuple[ImageAddress, ...] = Field(
        default=(),
        description="How the addresses begin that images are fetched from, such as https://example.com/images/; none: "
        "images come with the message",
    )


class Environment(BaseSettings):
    """The `SPECREASON_…` variables, and those in the file that `SPECREASON_ENV_FILE` names; the environment's win.

    No file is read that is not named: a `.env` that lies in the current folder came with whatever was fetched there,
    and could say where the key of the environment is sent.

    Raises:
        ConfigError: a variable can't work, or the file can't be read.
    """

    model_config = SettingsConfigDict(
        env_prefix="SPECREASON_", env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    base_url: str | None = Field(
        default=None, exclude=True, repr=False, description="Base model's server; several are separated by commas"
    )
    draft_url: str | None = Field(default=None, exclude=True, repr=False, description="Draft model's server, likewise")
    decode_url: str | None = Field(
        default=None,
        exclude=True,
        repr=False,
        description="Another server of the base model that decodes speculatively, for `specreason bench`",
    )
    base_model: str | None = Field(default=None, description="Base model's served name, if its server has several")
    draft_model: str | None = Field(default=None, description="Draft model's served name")
    api_key: Secret | None = Field(default=None, description="Key of both servers")
    base_api_key: Secret | None = Field(default=None, description="Key of the base server, if another")
    draft_api_key: Secret | None = Field(default=None, description="Key of the draft server, if another")
    gateway_key: Secret | None = Field(default=None, description="What clients of `specreason serve` must send")
    timeout: float = Field(
        default=600.0, gt=0, allow_inf_nan=False, description="Seconds to wait for a server's next bytes"
    )
    patience: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="Seconds in which a request is tried again; None is 10 for base and 2 for the draft",
    )
    dialect: Dialect = Field(default="vllm", description="What both servers are")
    preset: str | None = Field(default=None, description="Preset of the pair")
    image_urls: str | None = Field(
        default=None, exclude=True, description="How the addresses begin that images are fetched from, with commas"
    )
    pairs: dict[str, PairConfig] = Field(default_factory=dict, description="More pairs by name, as JSON")

    def __init__(self, **given: Any) -> None:
        refused = None
        try:
            super().__init__(_env_file=_named_file(), **given)
        except ValidationError as error:
            refused = in_one_line(error, type(self), known_as=lambda field: f"SPECREASON_{field.upper()}")
        except (SettingsError, RecursionError) as error:
            why = error.__cause__
            where = f" (line {why.lineno}, column {why.colno}: {why.msg})" if isinstance(why, JSONDecodeError) else ""
            refused = ConfigError(f"SPECREASON_PAIRS: it is no JSON{where}")
        if refused is not None:  # here, so that no key hangs on it in what it was raised from
            raise refused

    def configured(self) -> dict[str, PairConfig]:
        """Every configured pair by name; the two URLs make the one called `default`.

        Raises:
            ConfigError: only one of the two URLs is given.
        """
        if (self.base_url is None) != (self.draft_url is None):
            raise ConfigError("set both SPECREASON_BASE_URL and SPECREASON_DRAFT_URL, or neither")
        if self.base_url is None or self.draft_url is None:
            return self.pairs
        shared = {"timeout": self.timeout, "patience": self.patience, "dialect": self.dialect}
        return {
            **self.pairs,
            "default": checked(
                PairConfig,
                {
                    "base": {
                        **shared,
                        **addresses(self.base_url),
                        "model": self.base_model,
                        "api_key": self.base_api_key or self.api_key,
                    },
                    "draft": {
                        **shared,
                        **addresses(self.draft_url),
                        "model": self.draft_model,
                        "api_key": self.draft_api_key or self.api_key,
                    },
                    "preset": self.preset,
                    "image_urls": [url.strip() for url in (self.image_urls or "").split(",") if url.strip()],
                },
            ),
        }


def addresses(urls: str) -> dict[str, object]:
    """The fields of `EndpointConfig` that say where: of one address, or of several separated by commas."""
    first, *more = [url.strip() for url in urls.split(",")]
    return {"base_url": first, "replicas": more}


def _named_file() -> Path | None:
    """The file of more variables, if one is named: what is not there would be passed over in silence."""
    if not (name := os.environ.get(_FILE_VARIABLE)):
        return None
    try:
        small_text(Path(name))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ConfigError(f"{_FILE_VARIABLE}: can't read {name!r}: {why}") from None
    return Path(name)
