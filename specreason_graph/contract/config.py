"""Where the two models are served: given when the graph is built, or by `SPECREASON_…` variables.

Endpoints hold keys and addresses, so they are never part of a run's settings: a client that could set a
`base_url` per run could have the server's key sent anywhere.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from specreason_graph.contract.errors import ConfigError, checked

Dialect = Literal["vllm", "llamacpp"]


def _root(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"an address must begin with http:// or https://, not {url!r}")
    return url.rstrip("/").removesuffix("/v1")


Address = Annotated[str, AfterValidator(_root)]
"""Root of a server; a trailing `/v1` is dropped."""


class EndpointConfig(BaseModel):
    """One model server, or several that serve the same model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: Address = Field(description="Root of the server, such as http://127.0.0.1:8000")
    replicas: tuple[Address, ...] = Field(
        default=(), description="More servers of the same model, reached with the same key; a run keeps to one of them"
    )
    model: str | None = Field(default=None, description="Served model name; None takes the only one served")
    api_key: SecretStr | None = Field(default=None, description="Sent as a bearer token")
    timeout: float = Field(default=600.0, gt=0, description="Seconds to wait for the server's next bytes")
    connections: int = Field(
        default=256, ge=4, description="Connections to a server at most; further requests wait for one"
    )
    headers: dict[str, SecretStr] = Field(default_factory=dict, description="Sent with every request")
    dialect: Dialect = Field(default="vllm", description="Which server it is: vLLM, or llama.cpp's server")
    full_likelihood: bool = Field(
        default=False,
        description="Have base read a step's likelihood in one prompt instead of one a spot; vLLM versions that the "
        "tests have proven, started with --enable-scale-out --enable-prompt-tokens-details",
    )

    @model_validator(mode="after")
    def _only_vllm_reads_whole_prompts(self) -> Self:
        if self.full_likelihood and self.dialect != "vllm":
            raise ValueError("full_likelihood is an option of vLLM; turn it off for other dialects")
        return self


class PairConfig(BaseModel):
    """A base model and the draft model that works for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: EndpointConfig
    draft: EndpointConfig
    preset: str | None = Field(default=None, description="Preset of this pair; None finds it by the models' names")


class Environment(BaseSettings):
    """The `SPECREASON_…` variables, read from the environment and from `.env`."""

    model_config = SettingsConfigDict(env_prefix="SPECREASON_", env_file=".env", extra="ignore", frozen=True)

    base_url: str | None = Field(default=None, description="Base model's server; several are separated by commas")
    draft_url: str | None = Field(default=None, description="Draft model's server, likewise")
    decode_url: str | None = Field(
        default=None, description="Another server of the base model that decodes speculatively, for `specreason bench`"
    )
    base_model: str | None = Field(default=None, description="Base model's served name, if its server has several")
    draft_model: str | None = Field(default=None, description="Draft model's served name")
    api_key: SecretStr | None = Field(default=None, description="Key of both servers")
    base_api_key: SecretStr | None = Field(default=None, description="Key of the base server, if another")
    draft_api_key: SecretStr | None = Field(default=None, description="Key of the draft server, if another")
    timeout: float = Field(default=600.0, gt=0, description="Seconds to wait for a server's next bytes")
    dialect: Dialect = Field(default="vllm", description="What both servers are")
    preset: str | None = Field(default=None, description="Preset of the pair")
    pairs: dict[str, PairConfig] = Field(default_factory=dict, description="More pairs by name, as JSON")

    def configured(self) -> dict[str, PairConfig]:
        """Every configured pair by name; the two URLs make the one called `default`.

        Raises:
            ConfigError: only one of the two URLs is given.
        """
        if (self.base_url is None) != (self.draft_url is None):
            raise ConfigError("set both SPECREASON_BASE_URL and SPECREASON_DRAFT_URL, or neither")
        if self.base_url is None or self.draft_url is None:
            return self.pairs
        shared = {"timeout": self.timeout, "dialect": self.dialect}
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
                },
            ),
        }


def addresses(urls: str) -> dict[str, object]:
    """The fields of `EndpointConfig` that say where: of one address, or of several separated by commas."""
    first, *more = [url.strip() for url in urls.split(",")]
    return {"base_url": first, "replicas": more}
