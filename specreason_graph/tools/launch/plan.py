"""What is launched: one small file, a known pair's name or options say it, all with the same words."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from specreason_graph.contract.errors import ConfigError, checked
from specreason_graph.contract.small_files import small_text

Decode = Literal["draft_model", "ngram", "eagle3", "mtp"]

_PAIRS = files("specreason_graph.tools.launch") / "pairs"

_BASE_SHARE, _DRAFT_SHARE = 0.70, 0.20
"""Of a card that both use: base holds the large weights and the long cache, the draft still needs a few GiB for
its own, and a tenth is left for what two CUDA contexts take beside what vLLM counts."""


class LaunchPlan(BaseModel):
    """Two vLLM servers. What begins with `base_` or `draft_` is for that server alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(default="", description="Where the numbers come from")
    base: str = Field(description="Base model, on the model hub or in a folder")
    draft: str = Field(description="Draft model")
    base_name: str | None = Field(default=None, description="Base's served name, if another")
    draft_name: str | None = Field(default=None, description="The draft's served name, if another")
    base_port: int = Field(default=8000, ge=0, le=65535, description="Base server's port; 0 takes a free one")
    draft_port: int = Field(default=8001, ge=0, le=65535, description="Draft server's port; 0 takes a free one")
    base_devices: str | None = Field(default=None, description="Base's cards, such as 0,1; all if not given")
    draft_devices: str | None = Field(default=None, description="The draft's cards")
    base_gpu_memory: float | None = Field(
        default=None, gt=0, le=1, description=f"Base's share of each card's memory; {_BASE_SHARE} where both share one"
    )
    draft_gpu_memory: float | None = Field(
        default=None, gt=0, le=1, description=f"The draft's share; {_DRAFT_SHARE} where both share a card"
    )
    base_tensor_parallel: int = Field(default=1, gt=0, description="Over how many cards base is spread")
    draft_tensor_parallel: int = Field(default=1, gt=0, description="Over how many cards the draft is spread")
    base_args: list[str] = Field(default_factory=list, description="More of vLLM's arguments for base")
    draft_args: list[str] = Field(default_factory=list, description="More of vLLM's arguments for the draft")
    max_model_len: int | None = Field(
        default=None, gt=0, description="Tokens of prompt and output together, of both; the models' own if not given"
    )
    max_logprobs: int | None = Field(
        default=None, ge=20, description="Log-probabilities a token that both give; vLLM's default of 20 is enough"
    )
    decode: Decode | None = Field(
        default=None, description="Token-level speculative decoding in base: SpecReason+Decode"
    )
    decode_model: str | None = Field(default=None, description="Its model: another draft, or the head of eagle3")
    decode_tokens: int | None = Field(default=None, gt=0, description="Tokens that it guesses at a time")
    heterogeneous_vocab: bool = Field(default=False, description="Base's and the decode model's vocabularies differ")
    device: Literal["gpu", "cpu"] = Field(default="gpu", description="What vLLM was built for")
    cpu_kv_cache: int = Field(default=4, gt=0, description="GiB of KV cache for each server, on a CPU")
    host: str = Field(
        default="127.0.0.1", description="Address to listen at; others than loopback open it to a network"
    )
    api_key: SecretStr | None = Field(default=None, description="Key of both servers; made up if not given")
    python: str = Field(default=sys.executable, description="Interpreter that has vLLM")
    loading_timeout: float = Field(default=1800.0, gt=0, description="Seconds that a server may take to load")
    stop_timeout: float = Field(default=15.0, gt=0, description="Seconds that a server may take to stop")
    log_dir: Path = Field(default=platformdirs.user_log_path("specreason"), description="Folder of the servers' logs")
    preset: str | None = Field(default=None, description="Preset of the pair; found by the models' names if not given")

    @property
    def shares_cards(self) -> bool:
        """Whether both servers may use the same card."""
        if self.base_devices is None or self.draft_devices is None:
            return self.device == "gpu"
        return not set(self.base_devices.split(",")).isdisjoint(self.draft_devices.split(","))

    @property
    def gpu_memory(self) -> tuple[float | None, float | None]:
        """Base's and the draft's share; None leaves it to vLLM."""
        defaults = (_BASE_SHARE, _DRAFT_SHARE) if self.shares_cards else (None, None)
        return self.base_gpu_memory or defaults[0], self.draft_gpu_memory or defaults[1]

    @model_validator(mode="after")
    def _can_work(self) -> Self:
        if self.base_port == self.draft_port != 0:
            raise ValueError(f"base_port and draft_port are both {self.base_port}; give one of them another")
        if self.device == "cpu" and (self.base_devices or self.draft_devices):
            raise ValueError("base_devices and draft_devices name cards; leave them out with device cpu")
        shares = [share or 0.0 for share in self.gpu_memory]
        if self.shares_cards and sum(shares) > 1:
            raise ValueError(
                f"base_gpu_memory {shares[0]:g} and draft_gpu_memory {shares[1]:g} are more "
                "than one card; lower one, or give base_devices and draft_devices different cards"
            )
        return self

    @model_validator(mode="after")
    def _decodes(self) -> Self:
        if self.decode is None and (self.decode_model or self.decode_tokens):
            raise ValueError("decode_model and decode_tokens go with decode")
        if self.decode == "eagle3" and self.decode_model is None:
            raise ValueError("decode eagle3 needs the head that was trained for base: name it in decode_model")
        if self.decode in ("ngram", "mtp") and self.decode_model is not None:
            raise ValueError(f"decode {self.decode} takes no decode_model")
        return self


def load_plan(source: str | None = None, changes: Mapping[str, object] | None = None) -> LaunchPlan:
    """The plan of a known pair or a TOML file, with changes on top; without a source, of the changes alone.

    Raises:
        ConfigError: no such pair or file, or one that can't work.
    """
    changes = changes or {}
    if source is None and not {"base", "draft"} <= changes.keys():
        raise ConfigError(f"say what to serve: --base and --draft, a TOML file, or one of {', '.join(known_pairs())}")
    table = _table(source) if source else {}
    if {"base_devices", "draft_devices"} <= changes.keys():  # shares that were meant for other cards
        table = {name: value for name, value in table.items() if not name.endswith("_gpu_memory")}
    return checked(LaunchPlan, {**table, **changes})


def known_pairs() -> list[str]:
    """Names of the pairs whose plans come with this package."""
    return sorted(file.name.removesuffix(".toml") for file in _PAIRS.iterdir() if file.name.endswith(".toml"))


def _table(source: str) -> dict[str, object]:
    if source in known_pairs():
        return tomllib.loads((_PAIRS / f"{source}.toml").read_text(encoding="utf-8"))
    try:
        return tomllib.loads(small_text(Path(source)))
    except FileNotFoundError:
        raise ConfigError(f"there is no pair or file {source!r}; known pairs: {', '.join(known_pairs())}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"can't read {source}: {error}") from None
