"""What a chat template can't say of tools is told in words, to that model alone."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.contract.errors import EndpointFailed
from specreason_graph.models.presets import Preset
from specreason_graph.models.rendering import tools_in_words, turns_in_words
from specreason_graph.testing import Fault, Script, ScriptedServer, scripted_pair

PRESET = Preset(name="p", source="", kind="instruct", answer_cue="", tool_words="Tools: {tools} Call so: {call}")
CALL: Any = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


@tool
def add(a: int) -> int:
    """Add one."""
    return a + 1


def test_tools_are_told_behind_what_the_system_says() -> None:
    tools = [{"type": "function", "function": {"name": "add", "description": "{call}", "parameters": {}}}]
    said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "?"}]
    for chat in (said, said[1:]):
        told = tools_in_words(chat, tools, PRESET)
        assert [message["role"] for message in told] == ["system", "user"]
        assert told[0]["content"].startswith("Be brief.\n\nTools: " if chat is said else "Tools: ")
        assert '"description": "{call}"' in told[0]["content"], "what a tool says of itself is no place of ours"
        assert '<tool_call>\n{"name": "<name>", "arguments":{' in told[0]["content"]


def test_calls_are_spelled_and_results_told_in_one_turn() -> None:
    chat: list[dict[str, Any]] = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "I add.", "tool_calls": [CALL, CALL]},
        {"role": "tool", "content": "2", "tool_call_id": "1", "name": "add"},
        {"role": "tool", "content": "2", "tool_call_id": "1"},
        {"role": "assistant", "content": "Two."},
    ]
    call = '<tool_call>\n{"name": "add", "arguments":{"a": 1}}\n</tool_call>'
    assert turns_in_words(chat, PRESET) == [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": f"I add.\n\n{call}\n{call}"},
        {"role": "user", "content": "Result of add:\n2\n\nResult of the tool:\n2"},
        {"role": "assistant", "content": "Two."},
    ]


async def test_a_draft_without_tools_in_its_template_knows_them_all_the_same() -> None:
    call = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    script = Script(["I add."], answer=call, then=[Script(["It is two."], answer="Two.")])
    base = ScriptedServer(script, template="think")
    draft = ScriptedServer(script, template="think", tokenizer="b", knows_tools=False)
    async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(tools=[add])).compile()
        first = (await graph.ainvoke({"messages": [HumanMessage("1 + 1?")]}))["messages"]
        result = ToolMessage("2", tool_call_id=first[-1].tool_calls[0]["id"], name="add")
        state = await graph.ainvoke({"messages": [*first, result]})
        assert state["messages"][-1].text == "Two."
        read = {
            server: server.model.tokenizer.spell(server.completions[-1].prompts[0]).decode() for server in (base, draft)
        }
    assert "# Tools" in read[base]
    assert "You may call tools" not in read[base]
    assert "You may call tools" in read[draft]
    assert "<tool_response>" in read[base]
    assert "Result of add:\n2" in read[draft]
    assert state["specreason_steps"][0]["accepted"]


async def test_turns_with_tools_are_rendered_where_no_tools_are_bound() -> None:
    """A worker that has none, or a planner before an agent that has."""
    history: list[Any] = [
        HumanMessage("Weather?"),
        AIMessage("", tool_calls=[{"name": "look", "args": {"at": "Oslo"}, "id": "1"}]),
        ToolMessage("It is sunny.", tool_call_id="1"),
        AIMessage([{"type": "thinking", "thinking": "SECRET"}, {"type": "text", "text": "Sunny."}], name="scout"),
        HumanMessage("3 cows?"),
    ]
    for knows in (True, False):
        base, draft = (ScriptedServer(Script(["So."]), template="think", knows_tools=knows) for _ in "bd")
        async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
            await create_specreason(pair=pair).compile().ainvoke({"messages": history})
            text = base.model.tokenizer.spell(base.completions[0].prompts[0]).decode()
        assert all(said in text for said in ("Oslo", "It is sunny.", "Sunny.", "3 cows?"))
        assert "SECRET" not in text
        assert "# Tools" not in text


async def test_a_server_that_is_down_for_a_moment_says_nothing_of_its_template() -> None:
    async with scripted_pair(Script(["So."]), Script(["So."])) as servers, Pair(servers.config) as pair:
        servers.base.fail(Fault("status", status=503, retry_after="99"), path="/tokenize")
        with pytest.raises(EndpointFailed):
            await pair.knows_tools("base", PRESET)
        assert await pair.knows_tools("base", PRESET)
