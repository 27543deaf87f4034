"""A chat completions request: what is read of it, what is refused, and all else is ignored."""

from __future__ import annotations

from typing import Any, Literal, Self

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from pydantic import BaseModel, Field, field_validator, model_validator

from specreason_graph.contract.errors import checked
from specreason_graph.contract.settings import Settings

_MESSAGES = {"system": SystemMessage, "developer": SystemMessage, "user": HumanMessage, "assistant": AIMessage}


class Message(BaseModel):
    """One message; of earlier answers, the reasoning is not read again."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str

    @field_validator("content", mode="before")
    @classmethod
    def _joined(cls, content: Any) -> Any:
        """The text of a list of parts."""
        if not isinstance(content, list):
            return content
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                kind = part.get("type") if isinstance(part, dict) else part
                raise ValueError(f"raw completions carry text only, not {kind!r}; leave it out")
        return "".join(part["text"] for part in content)


class JsonSchema(BaseModel):
    """A named schema; only the schema itself counts."""

    definition: dict[str, Any] = Field(alias="schema")


class ResponseFormat(BaseModel):
    """What the answer is to be like; the reasoning is free."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema goes with the type json_schema, and only with it")
        return self

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """None for free text."""
        if self.json_schema is not None:
            return self.json_schema.definition
        return {"type": "object"} if self.type == "json_object" else None


class StreamOptions(BaseModel):
    """Of a streamed reply."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """What is read of a request; a null is as good as nothing."""

    model: str
    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: list[str] = Field(default_factory=list, max_length=4)
    n: int = Field(default=1, ge=1, le=8)
    response_format: ResponseFormat = ResponseFormat(type="text")
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    tools: Any = None
    functions: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    echo: Any = None
    audio: Any = None
    specreason: dict[str, Any] = Field(default_factory=dict)
    """Settings of this run, over all that the fields above say."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if value is not None}

    @field_validator("stop", mode="before")
    @classmethod
    def _several(cls, stop: Any) -> Any:
        """A lone text is a list of one; some harnesses put a null, and texts twice."""
        texts = stop if isinstance(stop, list) else [stop]
        return [text for place, text in enumerate(texts) if text is not None and text not in texts[:place]]

    @field_validator("tools", "functions")
    @classmethod
    def _no_tools(cls, value: Any) -> None:
        if value:
            raise ValueError(
                "raw completions carry no tool calls; use SpecReason as the planner or as a tool of an agent whose "
                "own model calls tools"
            )

    @field_validator("logprobs", "top_logprobs", "echo", "audio")
    @classmethod
    def _not_here(cls, value: Any) -> None:
        if value:
            raise ValueError("this is not served here: a reply is reasoning and an answer, as text; leave it out")

    def chat(self) -> list[BaseMessage]:
        """The conversation."""
        return [_MESSAGES[message.role](message.content) for message in self.messages]

    def settings(self, defaults: Settings, pair: str, longest_answer: int) -> Settings:
        """What this run is to go by.

        Args:
            defaults: of what the request leaves out.
            pair: name of the pair that its model stands for.
            longest_answer: tokens. `max_tokens` is an upper bound to its clients, who may send all of the context;
                here it is room that is kept from the reasoning.

        Raises:
            ConfigError: a value is impossible, or something in `specreason` is no setting.
        """
        tokens = self.max_completion_tokens or self.max_tokens
        asked = {
            "pair": pair,
            "answer_budget": None if tokens is None else min(tokens, longest_answer),
            "temperature": self.temperature,
            "top_p": self.top_p,
            "seed": self.seed,
            "answer_stop": tuple(self.stop) or None,
            "answer_schema": self.response_format.schema_of_answer,
        }
        given = {name: value for name, value in asked.items() if value is not None}
        return checked(Settings, {**defaults.model_dump(exclude_unset=True), **given, **self.specreason})
