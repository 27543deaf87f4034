"""What can be asked, what is told of earlier turns, and what only eyes could read."""

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from specreason_graph import ConfigError
from specreason_graph.judging.catalog import builtin
from specreason_graph.models.conversation import chat_messages, question_hash

PRESET, THINKING = (builtin().presets[name] for name in ("instruct", "thinking"))


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
        ([HumanMessage("x"), ToolMessage([{"type": "image", "url": "https://x"}], tool_call_id="1")], "image"),
        ([AIMessage("y")], "question"),
        ([HumanMessage("x"), RemoveMessage("1")], "remove"),
        ([HumanMessage(" ")], "empty"),
        ([HumanMessage([{"type": "text"}])], "no text"),
        ([HumanMessage([{"type": "image", "data": b"x"}])], "image"),
    ],
)
def test_what_can_not_be_carried_is_refused(messages: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        chat_messages(messages, PRESET)
    assert question_hash(messages), "which is asked for before"


CALL: Any = {"name": "f", "args": {"x": "é"}, "id": "1"}


def test_calls_and_their_results_are_carried_with_their_names() -> None:
    chat = chat_messages(
        [
            ChatMessage(role="user", content="x"),
            AIMessage("so", tool_calls=[CALL], name="worker"),
            ToolMessage("4", tool_call_id="1", name="f"),
            FunctionMessage(content="5", name="g"),
            AIMessage("done"),
        ],
        PRESET,
    )
    function = {"name": "f", "arguments": '{"x": "é"}'}
    assert chat[1:] == [
        {
            "role": "assistant",
            "content": "so",
            "name": "worker",
            "tool_calls": [{"id": "1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "4", "name": "f", "tool_call_id": "1"},
        {"role": "tool", "content": "5", "name": "g"},
        {"role": "assistant", "content": "done"},
    ]
    assert PRESET.prompt.replace("{question}", "x") == chat[0]["content"], "tools' results ask nothing"


@pytest.mark.parametrize("kind", ["thinking", "redacted_thinking", "refusal", "reasoning", "tool_use", "function_call"])
def test_other_models_blocks_are_dropped(kind: str) -> None:
    blocks: Any = [{"type": kind, kind: "SECRET", "text": "SECRET"}, {"type": "text", "text": "4"}, "2"]
    chats: list[Any] = [[HumanMessage("x"), AIMessage(blocks)], [AIMessage(blocks), HumanMessage("x")]]
    for messages in chats:
        assert [it["content"] for it in chat_messages(messages, THINKING) if it["role"] == "assistant"] == ["42"]


def test_an_image_is_refused_only_where_it_would_have_to_be_looked_at() -> None:
    image: Any = [{"type": "text", "text": "See "}, {"type": "image_url", "image_url": {"url": "https://x"}}]
    earlier: Any = [HumanMessage(image), ToolMessage(image, tool_call_id="1"), AIMessage(image), HumanMessage("x")]
    assert [it["content"] for it in chat_messages(earlier, THINKING)] == ["See (image)"] * 3 + ["x"]
    assert chat_messages([HumanMessage("x"), AIMessage(image)], THINKING)[1]["content"] == "See (image)"


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ({"type": "document", "source": {}}, "document"),
        ({"type": "image_embeds", "image_embeds": "AAAA"}, "image_embeds"),
        ({"type": ["text"]}, "another type"),
        ({"document": {"name": "a.pdf"}}, "document"),
        ({"a": 1, "b": 2}, "another type"),
        ({"type": "QUJD" * 10}, "another type"),
    ],
)
def test_nothing_of_a_question_is_passed_over(block: Any, kind: str) -> None:
    """Guards answers: the models would reason about a question of which they have seen a part."""
    asked: Any = [{"type": "text", "text": "What is it?"}, block]
    with pytest.raises(ConfigError, match=f"not .*{kind}.*; leave it out"):
        chat_messages([HumanMessage(asked)], PRESET)
    assert chat_messages([HumanMessage(asked), HumanMessage("x")], PRESET)[0]["content"] == "What is it?"


def test_texts_of_bedrock_are_texts_but_for_a_tools_own() -> None:
    said: Any = [{"text": "What "}, {"text": "is it?"}]
    chat = chat_messages([HumanMessage(said), HumanMessage("x"), ToolMessage(said, tool_call_id="1")], PRESET)
    assert chat[0]["content"] == "What is it?"
    assert chat[2]["content"] == '{"text": "What "}{"text": "is it?"}'


def test_what_a_tool_gives_in_a_shape_of_its_own_is_told_as_json() -> None:
    result: Any = ToolMessage([{"type": "json", "json": {"a": 1}}, " and"], tool_call_id="1")
    assert chat_messages([HumanMessage("x"), result], PRESET)[1]["content"] == '{"type": "json", "json": {"a": 1}} and'


def test_reasoning_stays_as_long_as_the_preset_keeps_it() -> None:
    def reply(text: str) -> AIMessage:
        return AIMessage(text, additional_kwargs={"reasoning_content": f"{text} it is"})

    messages: Any = [
        HumanMessage("x"),
        reply("old"),
        HumanMessage("y"),
        reply("new"),
        ToolMessage("4", tool_call_id="1"),
    ]
    kept = {}
    for keep in ("turn", "always", "never"):
        chat = chat_messages(messages, THINKING.model_copy(update={"keep_reasoning": keep}))
        kept[keep] = [chat[at].get("reasoning") for at in (1, 3)]
    assert kept == {"turn": [None, "new it is"], "always": ["old it is", "new it is"], "never": [None, None]}
    assert chat_messages(messages, PRESET)[3]["content"] == "new it is\n\nnew", "it reasons in the open"


def test_words_behind_results_stand_where_they_stood_in_every_later_run() -> None:
    """Else no prompt would begin with the one before it."""
    preset = PRESET.model_copy(update={"result_prompt": "{result}, and?"})
    results = [ToolMessage(text, tool_call_id=text) for text in "123"]
    first: Any = [HumanMessage("x"), AIMessage("", tool_calls=[CALL]), *results[:2]]
    later = [*first, AIMessage("", tool_calls=[CALL]), results[2]]
    assert [it["content"] for it in chat_messages(first, preset, tools=True)[2:]] == ["1", "2, and?"]
    assert chat_messages(later, preset, tools=True)[:4] == chat_messages(first, preset, tools=True)
    assert chat_messages(later, preset, tools=True)[-1]["content"] == "3, and?"
    assert chat_messages(later, preset)[-1]["content"] == "3"
    over = chat_messages([*later, AIMessage("y"), HumanMessage("z")], preset, tools=True)
    assert [it["content"] for it in over if it["role"] == "tool"] == ["1", "2", "3"]


def test_the_hash_knows_calls_and_results() -> None:
    plain, other = AIMessage("", tool_calls=[CALL]), AIMessage("", tool_calls=[{**CALL, "args": {}}])
    results = [ToolMessage("4", tool_call_id=call) for call in "12"]
    later: list[Any] = [plain, other, *results]
    assert len({question_hash([HumanMessage("x"), message]) for message in later}) == 4


def test_the_hash_names_the_conversation_not_its_ids() -> None:
    one, two = HumanMessage("x", id="1"), HumanMessage("x", id="2")
    assert question_hash([one]) == question_hash([two]) != question_hash([one, one])


def test_the_hash_is_the_one_in_earlier_checkpoints() -> None:
    """A run is resumed only where its question hashes as it did when the run began."""
    plain: list[AnyMessage] = [SystemMessage("Be brief."), HumanMessage("How many legs have 3 cows?")]
    blocks: list[AnyMessage] = [HumanMessage([{"type": "text", "text": "How many?"}])]
    assert question_hash(plain) == "27e03a429fda43c8"
    assert question_hash(blocks) == "c0250584a87e1bb3"
