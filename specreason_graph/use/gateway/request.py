"""A chat completions request: what is read of it, what is refused, and all else is ignored."""

from __future__ import annotations

import json
from typing import Any, Literal, Self

from langchain_core.messages import BaseMessage
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from specreason_graph.contract.errors import checked
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.tools import CHOICES
from specreason_graph.use.gateway.ceilings import MOST_SAMPLES, Ceiling
from specreason_graph.use.gateway.effort import Effort, budgets
from specreason_graph.use.gateway.messages import OLD_CALLS, Message, Sparse, check_order, conversation
from specreason_graph.use.gateway.refusal import malformed

_LARGEST_SCHEMA = 120_000
"""Characters of an answer's schema as JSON, and of a tool; OpenAI's own bound. All of it is looked at."""
_MOST_TOOLS = 128


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

    @field_validator("json_schema")
    @classmethod
    def _of_a_size(cls, named: JsonSchema | None) -> JsonSchema | None:
        _check_size(named.definition if named else None)
        return named

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """None for free text."""
        if self.json_schema is not None:
            return self.json_schema.definition
        return {"type": "object"} if self.type == "json_object" else None


class FunctionTool(BaseModel):
    """A tool; its function is looked at where all tools are."""

    type: Literal["function"]
    function: dict[str, Any]

    @field_validator("function")
    @classmethod
    def _of_a_size(cls, function: dict[str, Any]) -> dict[str, Any]:
        _check_size(function)
        return function


class StreamOptions(BaseModel):
    """Of a streamed reply."""

    include_usage: bool = False


class ChatRequest(Sparse):
    """What is read of a request."""

    model: str
    messages: list[Message] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: list[str] = Field(default_factory=list, max_length=4)
    n: int = Field(default=1, ge=1, le=MOST_SAMPLES)
    response_format: ResponseFormat = ResponseFormat(type="text")
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    tools: list[FunctionTool] = Field(default_factory=list, max_length=_MOST_TOOLS)
    tool_choice: str | None = None
    """One of `CHOICES`, or a tool's name."""
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = None
    functions: Any = None
    function_call: Any = None
    logprobs: Any = None
    top_logprobs: Any = None
    echo: Any = None
    audio: Any = None
    specreason: dict[str, Any] = Field(default_factory=dict, max_length=len(Settings.model_fields))
    """Settings of this run, over all that the fields above say."""

    @field_validator("stop", mode="before")
    @classmethod
    def _several(cls, stop: Any) -> Any:
        """A lone text is a list of one; some harnesses put a null, and texts twice."""
        texts = [text for text in (stop if isinstance(stop, list) else [stop]) if text is not None]
        return list(dict.fromkeys(texts)) if all(isinstance(text, str) for text in texts) else texts

    @field_validator("messages")
    @classmethod
    def _results_behind_calls(cls, messages: list[Message]) -> list[Message]:
        return check_order(messages)

    @field_validator("specreason")
    @classmethod
    def _of_a_size(cls, chosen: dict[str, Any]) -> dict[str, Any]:
        """What is bounded under OpenAI's names is so under ours."""
        tools = chosen["tools"] if isinstance(chosen.get("tools"), list) else []
        if len(tools) > _MOST_TOOLS:
            raise ValueError(f"tools: there may be {_MOST_TOOLS} at most")
        for schema in (chosen.get("answer_schema"), *tools):
            _check_size(schema)
        return chosen

    @field_validator("tool_choice", mode="before")
    @classmethod
    def _its_name(cls, choice: Any) -> str:
        match choice:
            case str() if choice in CHOICES:
                return choice
            case {"type": "function", "function": {"name": str(name)}}:
                return name
            case {"type": "allowed_tools"}:
                raise ValueError("allowed_tools are not served here: send those tools alone")
        raise ValueError(f'take one of {", ".join(CHOICES)}, or {{"type": "function", "function": {{"name": …}}}}')

    @field_validator("functions", "function_call")
    @classmethod
    def _nothing_old(cls, value: Any) -> None:
        if value:
            raise ValueError(OLD_CALLS)

    @field_validator("logprobs", "top_logprobs", "echo", "audio")
    @classmethod
    def _not_here(cls, value: Any) -> None:
        if value:
            raise ValueError("this is not served here: a reply is reasoning and an answer, as text; leave it out")

    @property
    def pieces(self) -> int:
        """Messages and calls."""
        return sum(1 + len(message.tool_calls) for message in self.messages)

    def chat(self) -> list[BaseMessage]:
        """The conversation."""
        return conversation(self.messages)

    def settings(self, defaults: Settings, pair: str, longest_answer: int, ceiling: Ceiling) -> Settings:
        """What this run is to go by; what only says "at most", as `max_tokens` does, is lowered to the ceilings.

        Args:
            defaults: of what the request leaves out.
            pair: name of the pair that its model stands for.
            longest_answer: tokens. `max_tokens` is an upper bound to its clients, who may send all of the context;
                here it is room that is kept from the reasoning.
            ceiling: of the request's key.

        Raises:
            ConfigError: a value is impossible, or something in `specreason` is no setting.
            Refusal: something in `specreason` is above its ceiling, or no request's to choose.
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
            "tools": tuple(tool.model_dump() for tool in self.tools) or None,
            "tool_choice": self.tool_choice,
            "parallel_tool_calls": self.parallel_tool_calls,
            **(budgets(self.reasoning_effort, defaults) if self.reasoning_effort else {}),
        }
        given = {name: value for name, value in asked.items() if value is not None}
        lowered = ceiling.lowered({**defaults.model_dump(), **given})
        ours = defaults.model_dump(exclude_unset=True)
        chosen = checked(Settings, {**ours, **given, **lowered, **self.specreason})
        ceiling.check(self.specreason, chosen, defaults)
        return chosen


def read(body: bytes) -> ChatRequest:
    """A request from its JSON; may take a while, so a thread does it.

    Raises:
        Refusal: it is none.
    """
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        raise malformed(error) from None


def _check_size(schema: Any) -> None:
    if schema is not None and len(json.dumps(schema)) > _LARGEST_SCHEMA:
        raise ValueError(f"a schema has {_LARGEST_SCHEMA} characters at most")
