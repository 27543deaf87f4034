"""What a conversation in OpenAI's shapes becomes in LangChain's."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from specreason_graph.use.gateway.messages import Message, conversation

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def read(**message: Any) -> BaseMessage:
    [told] = conversation([Message.model_validate(message)])
    return told


def calling(arguments: str = '{"n": 3}', **changes: Any) -> BaseMessage:
    function = {"name": "legs", "arguments": arguments}
    call = {"id": "call_1", "type": "function", "function": function}
    return read(role="assistant", content=None, tool_calls=[call], **changes)


def test_roles_names_and_texts() -> None:
    assert read(role="developer", content="Be brief.") == SystemMessage("Be brief.")
    assert read(role="user", content="Hello", name="Ada") == HumanMessage("Hello", name="Ada")
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert read(role="user", content=parts) == HumanMessage("ab")
    assert read(role="tool", content="12", tool_call_id="call_1") == ToolMessage("12", tool_call_id="call_1")
    assert read(role="tool", content=parts, tool_call_id="c", name="f") == ToolMessage("ab", tool_call_id="c", name="f")


def test_parts_that_have_to_be_looked_at_are_handed_on() -> None:
    """Whether they have to be is known where the turn is."""
    parts = [{"type": "text", "text": "What is this?"}, PICTURE]
    assert read(role="user", content=parts) == HumanMessage(parts)  # type: ignore[arg-type]


def test_calls_with_and_without_a_text() -> None:
    legs = [{"name": "legs", "args": {"n": 3}, "id": "call_1", "type": "tool_call"}]
    assert calling() == AIMessage("", tool_calls=legs)
    assert calling("") == AIMessage("", tool_calls=[{**legs[0], "args": {}}])


def test_a_result_has_the_name_of_its_call() -> None:
    """Guards templates that spell it; ids may come again in a later turn."""
    spoken: list[dict[str, Any]] = [{"role": "user", "content": "?"}]
    for name in ("legs", "price"):
        function = {"name": name, "arguments": "{}"}
        spoken += [
            {"role": "assistant", "tool_calls": [{"id": "0", "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": "0", "content": "4"},
        ]
    told = conversation(map(Message.model_validate, spoken))
    assert [message.name for message in told if isinstance(message, ToolMessage)] == ["legs", "price"]


@pytest.mark.parametrize("names", [("reasoning",), ("reasoning_content",), ("reasoning", "reasoning_content")])
def test_reasoning_is_read_back_under_either_name(names: tuple[str, ...]) -> None:
    """A preset may keep it within a turn of the user."""
    message = calling(**dict.fromkeys(names, "3 cows."))
    assert message.additional_kwargs == {"reasoning_content": "3 cows."}


def test_nulls_and_what_is_unknown_are_ignored() -> None:
    """Guards clients that send a reply back as they have got it."""
    nulls: dict[str, Any] = {
        "refusal": None,
        "audio": None,
        "function_call": None,
        "tool_calls": None,
        "annotations": [],
    }
    assert read(role="assistant", content="12", **nulls) == AIMessage("12")
    assert read(role="assistant", content=None, refusal="I won't.") == AIMessage("")
