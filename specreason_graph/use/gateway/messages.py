"""The messages of a request: from OpenAI's shapes to LangChain's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call
from pydantic import BaseModel, Field, field_validator, model_validator

from specreason_graph.contract.quoted import kind_of, quotable_id
from specreason_graph.models.conversation import REASONING
from specreason_graph.use.gateway.calls import is_object

OLD_CALLS = "an old name of OpenAI's: send tools and tool_choice, calls as tool_calls, and their results as role tool"

_NAMED = 5
"""How many calls a refusal names."""


class Sparse(BaseModel):
    """An object in which a null is as good as nothing."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}


class Function(BaseModel):
    """What a call calls, with its arguments as JSON text."""

    name: str = Field(min_length=1)
    arguments: str = ""

    @field_validator("arguments")
    @classmethod
    def _an_object(cls, text: str) -> str:
        if not is_object(text or "{}"):
            raise ValueError('the arguments of a call are a JSON object as text, such as {"city": "Paris"}')
        return text


class Call(BaseModel):
    """A call that an assistant's message makes."""

    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: Function


class Message(Sparse):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    """The same under its other name."""
    tool_calls: list[Call] = Field(default_factory=list)
    tool_call_id: str | None = None
    function_call: Any = None

    @field_validator("role", "function_call", mode="before")
    @classmethod
    def _nothing_old(cls, value: Any) -> Any:
        if value == "function" or isinstance(value, dict):
            raise ValueError(OLD_CALLS)
        return value

    @field_validator("content", mode="before")
    @classmethod
    def _texts_joined(cls, content: Any) -> Any:
        """Parts that are all text are one text; others are handed on, and refused where they have to be looked at."""
        if isinstance(content, str):
            return content
        if not isinstance(content, list):
            raise ValueError("a content is a text or a list of parts")
        for at, part in enumerate(content):
            if not isinstance(part, dict) or not isinstance(part.get("type"), str):
                raise ValueError(f"a part is an object whose type is a text, and part {at} is {kind_of(part)}")
            if part["type"] == "text" and not isinstance(part.get("text"), str):
                raise ValueError(f"a part of type text has a text, and part {at} has none")
        return "".join(part["text"] for part in content) if _all_text(content) else content

    @model_validator(mode="after")
    def _has_what_its_role_needs(self) -> Self:
        if self.content is None and self.role != "assistant":
            raise ValueError(f"a message of role {self.role} has a content")
        if self.role == "tool" and not self.tool_call_id:
            raise ValueError("a message of role tool has the tool_call_id of the call that it answers")
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"tool_calls are made by role assistant, not {self.role}")
        ids = [call.id for call in self.tool_calls]
        if len(set(ids)) < len(ids):
            raise ValueError(f"tool_calls: two have one id ({_named(ids)})")
        return self

    def as_langchain(self, called: Mapping[str, str]) -> BaseMessage:
        """The same as a message of LangChain's; a result has the name of its call, by the call's id."""
        content: Any = self.content or ""
        match self.role:
            case "system" | "developer":
                return SystemMessage(content, name=self.name)
            case "user":
                return HumanMessage(content, name=self.name)
            case "tool":
                name = self.name or called.get(str(self.tool_call_id))
                return ToolMessage(content, name=name, tool_call_id=self.tool_call_id)
        reasoning = self.reasoning_content or self.reasoning
        calls = [(call.function, call.id) for call in self.tool_calls]
        return AIMessage(
            content,
            name=self.name,
            tool_calls=[tool_call(name=it.name, args=json.loads(it.arguments or "{}"), id=id) for it, id in calls],
            additional_kwargs={REASONING: reasoning} if reasoning else {},
        )


def conversation(messages: Iterable[Message]) -> list[BaseMessage]:
    """All of them as LangChain's."""
    called: dict[str, str] = {}
    told = []
    for message in messages:
        called |= {call.id: call.function.name for call in message.tool_calls}
        told.append(message.as_langchain(called))
    return told


def check_order(messages: list[Message]) -> list[Message]:
    """A tool's result stands behind its call, and the last calls have theirs, unless the user went on without.

    Raises:
        ValueError: one does not, or has not.
    """
    called: set[str] = set()
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        ids = {call.id for call in message.tool_calls}
        called |= ids
        if message.role == "tool" and message.tool_call_id not in called:
            answered = quotable_id(str(message.tool_call_id))
            raise ValueError(f"the result at {place} answers {answered}, which no call before it has as id")
        if message.role == "user":
            waiting = set()
        waiting |= ids  # in place: conversations may have thousands of calls
        waiting.discard(str(message.tool_call_id))
    if waiting:
        raise ValueError(f"{_named(waiting)} has no result: send one of role tool for each call")
    return messages


def _named(ids: Iterable[str]) -> str:
    return ", ".join(map(quotable_id, sorted(ids)[:_NAMED]))


def _all_text(parts: list[dict[str, Any]]) -> bool:
    return all(part["type"] == "text" for part in parts)
