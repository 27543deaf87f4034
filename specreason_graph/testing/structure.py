"""Structured outputs: what a scripted model writes where its text has to be a choice, or satisfy a schema."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, model_validator

from specreason_graph.testing.resume import aligned
from specreason_graph.testing.schema import smallest


class Structure(BaseModel):
    """The field `structured_outputs` of a completions request, of which the scripted model knows two kinds."""

    model_config = ConfigDict(extra="forbid")

    of: Any = Field(default=None, alias="json")
    """JSON schema, or its text."""
    choice: list[str] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Structure:
        if (self.of is None) == (self.choice is None):
            raise ValueError("structured_outputs needs json or choice, and one of them only")
        return self

    def kept(self, rest: str) -> str:
        """The text that a model writes which would go on with `rest`, up to its end of turn."""
        if self.choice is not None:
            fitting = [choice for choice in self.choice if aligned(rest, choice) is not None]
            return max(fitting, key=len, default=self.choice[0])
        schema = json.loads(self.of) if isinstance(self.of, str) else self.of
        begun = rest.lstrip()
        with suppress(ValueError):
            value, end = json.JSONDecoder().raw_decode(begun)
            if Draft202012Validator(schema).is_valid(value):
                return begun[:end]
        return json.dumps(smallest(schema), ensure_ascii=False)
