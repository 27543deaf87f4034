"""The pace of known hardware, from `profiles.toml`: what `predict` reckons with, and the paced benchmark keeps."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from specreason_graph.contract.settings import Role
from specreason_graph.tools.decoding import PROPOSED, Decoding
from specreason_graph.tools.forecast import Speculation
from specreason_graph.tools.predict import Timings


class Profile(BaseModel):
    """One set of hardware and models; see the data file for what each figure means, and where it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hardware: str
    base_ms: PositiveFloat
    draft_ms: PositiveFloat
    judge_ms: PositiveFloat
    judge_tokens: PositiveInt
    round_trip_ms: PositiveFloat
    per_sequence: PositiveFloat
    budget: PositiveInt
    tokens_a_pass: float = Field(ge=1, le=PROPOSED + 1)
    source: dict[str, str]

    @model_validator(mode="after")
    def _judge_takes_longer_than_its_pass(self) -> Self:
        if self.judge_ms <= self.base_ms + self.round_trip_ms:
            raise ValueError("judge_ms leaves nothing for the prefill behind base_ms and round_trip_ms")
        return self

    def step(self, role: Role) -> float:
        """Seconds of a pass of this model over a sequence that is alone."""
        return (self.base_ms if role == "base" else self.draft_ms) / 1000

    @property
    def round_trip(self) -> float:
        """Seconds."""
        return self.round_trip_ms / 1000

    def prompt_tokens_per_second(self, role: Role) -> float:
        """Speed of the prefill, derived from the judge's call."""
        of_base = 1000 * self.judge_tokens / (self.judge_ms - self.base_ms - self.round_trip_ms)
        return of_base * (self.step("base") / self.step(role))

    @property
    def timings(self) -> Timings:
        """For the formula: a request has half a block of its prefix to read again."""
        return Timings(
            base_token=self.step("base"),
            base_first=self._first("base"),
            draft_token=self.step("draft"),
            draft_first=self._first("draft"),
            judge=self.judge_ms / 1000,
        )

    @property
    def speculation(self) -> Speculation:
        """Speculative decoding inside base, the draft proposing."""
        source = "of this profile: derived from the paper's ranges, so roughly"
        decoding = Decoding(tokens_a_pass=self.tokens_a_pass)
        return Speculation(decoding, self.step("draft"), "`--decode draft_model`", source)

    def _first(self, role: Role) -> float:
        return self.round_trip + self.step(role) + _HALF_A_BLOCK / self.prompt_tokens_per_second(role)


_HALF_A_BLOCK = 8  # tokens of the prefix cache


@cache
def profiles() -> dict[str, Profile]:
    """All profiles by name."""
    tables = tomllib.loads((files("specreason_graph.tools") / "profiles.toml").read_text(encoding="utf-8"))
    return {name: Profile.model_validate(table) for name, table in tables.items()}
