"""What can be asked, and what raw completions can't carry."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage

from specreason_graph import ConfigError
from specreason_graph.judging.catalog import builtin
from specreason_graph.models.conversation import chat_messages, question_hash

PRESET = builtin().presets["instruct"]


def test_only_the_last_question_gets_the_presets_prompt() -> None:
    chat = chat_messages(
        [SystemMessage("Be brief."), HumanMessage("Hi"), AIMessage("Hi!"), HumanMessage("2+2?")], PRESET
    )
    assert [message["role"] for message in chat] == ["system", "user", "assistant", "user"]
    assert chat[1]["content"] == "Hi"
    assert chat[-1]["content"] == PRESET.prompt.replace("{question}", "2+2?")


def test_braces_in_a_question_are_only_text() -> None:
    assert "{x}" in chat_messages([HumanMessage("Solve {x} and {question}")], PRESET)[-1]["content"]


def test_text_blocks_are_joined_and_reasoning_of_earlier_turns_left_out() -> None:
    blocks: Any = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "4"}]
    chat = chat_messages([HumanMessage("2+2?"), AIMessage(blocks), HumanMessage("Sure?")], PRESET)
    assert chat[1]["content"] == "4"


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([HumanMessage([{"type": "image_url", "image_url": {"url": "x"}}])], "image_url"),
        ([HumanMessage("x"), ToolMessage("4", tool_call_id="1"), HumanMessage("y")], "tool"),
        (
            [HumanMessage("x"), AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}]), HumanMessage("y")],
            "tool",
        ),
        ([HumanMessage("x"), AIMessage("y")], "question"),
        ([HumanMessage(" ")], "empty"),
        ([HumanMessage([{"type": "text"}])], "no text"),
        ([HumanMessage([{"type": "image", "data": b"x"}])], "image"),
    ],
)
def test_what_can_not_be_carried_is_refused(messages: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        chat_messages(messages, PRESET)
    assert question_hash(messages), "which is asked for before"


def test_the_hash_names_the_conversation_not_its_ids() -> None:
    one, two = HumanMessage("x", id="1"), HumanMessage("x", id="2")
    assert question_hash([one]) == question_hash([two]) != question_hash([one, one])


def test_the_hash_is_the_one_in_earlier_checkpoints() -> None:
    """A run is resumed only where its question hashes as it did when the run began."""
    plain: list[AnyMessage] = [SystemMessage("Be brief."), HumanMessage("How many legs have 3 cows?")]
    blocks: list[AnyMessage] = [HumanMessage([{"type": "text", "text": "How many?"}])]
    assert question_hash(plain) == "27e03a429fda43c8"
    assert question_hash(blocks) == "c0250584a87e1bb3"
