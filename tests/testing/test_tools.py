"""Scripted servers in an agent's loop: templates that know tools, structured outputs, and scripts of several turns."""

from __future__ import annotations

import json
from typing import Any

import pytest

from specreason_graph.testing import Fault, Script, ScriptedServer
from specreason_graph.testing.template import TemplateName, render

from .conftest import Client

TOOL = {"type": "function", "function": {"name": "price", "description": "Prices.", "parameters": {"type": "object"}}}
CALL = '<tool_call>\n{"name": "price", "arguments": {"of": "milk"}}\n</tool_call>'
ASKS: dict[str, Any] = {
    "role": "assistant",
    "content": "I ask.",
    "reasoning": "Who knows.",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "price", "arguments": '{"of": "milk"}'}}],
}
QUESTION = {"role": "user", "content": "What is milk?"}
RESULT = {"role": "tool", "content": "2", "tool_call_id": "1"}
LOOP = Script(
    ["The price is not known."],
    answer=f"I ask.\n{CALL}",
    then=[Script(["It is 2."], answer="It costs 2.", scores=[3]), Script(["Now it is 3."], answer="It costs 3.")],
    scores=[5],
    judge_mark="Score",
)


async def tokenized(client: Client, server: ScriptedServer, *messages: Any, **more: Any) -> list[int]:
    status, answer = await client.post(server, "/tokenize", messages=messages, **more)
    assert status == 200, answer
    ids: list[int] = answer["tokens"]
    return ids


async def said(client: Client, server: ScriptedServer, prompt: list[int], behind: str = "", **more: Any) -> str:
    prompt = prompt + server.model.tokenizer.encode(behind)
    text: str = (await client.complete(server, prompt, **more))["choices"][0]["text"]
    return text


def test_tools_are_told_in_the_system_turn() -> None:
    told = render("qwen3", [{"role": "system", "content": "Be brief."}, QUESTION], tools=[TOOL])
    system, _, _ = told.partition("<|im_end|>")
    assert system.startswith("<|im_start|>system\nBe brief.\n\n# Tools\n\n")
    assert f"<tools>\n{json.dumps(TOOL)}\n</tools>" in system
    assert render("qwen3", [QUESTION], tools=[TOOL]).startswith("<|im_start|>system\n# Tools\n\n")
    assert "# Tools" not in render("qwen3", [QUESTION])


def test_calls_and_results_are_spelled_as_qwen_does() -> None:
    two = {**ASKS, "content": "", "tool_calls": ASKS["tool_calls"] * 2}
    turns = render("instruct", [QUESTION, ASKS, RESULT, RESULT, two, RESULT])
    result = "<tool_response>\n2\n</tool_response>"
    assert turns == (
        "<|im_start|>user\nWhat is milk?<|im_end|>\n"
        f"<|im_start|>assistant\nI ask.\n{CALL}<|im_end|>\n<|im_start|>user\n{result}\n{result}<|im_end|>\n"
        f"<|im_start|>assistant\n{CALL}\n{CALL}<|im_end|>\n<|im_start|>user\n{result}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("template", ["think", "qwen3"])
def test_reasoning_behind_the_last_question_is_kept(template: TemplateName) -> None:
    kept = f"<|im_start|>assistant\n<think>\nWho knows.\n</think>\n\nI ask.\n{CALL}<|im_end|>"
    assert kept in render(template, [QUESTION, ASKS, RESULT])
    assert kept in render(template, [QUESTION, {**ASKS, "reasoning": "\nWho knows.\n"}, RESULT, ASKS, RESULT])
    assert "Who knows" not in render(template, [QUESTION, ASKS, RESULT, QUESTION])
    assert "Who knows" not in render("instruct", [QUESTION, ASKS, RESULT])


def test_a_template_may_know_no_tools() -> None:
    """Guards models such as SmolLM2: tools and calls are not in the prompt, results are turns of their role."""
    turns = render("instruct", [QUESTION, ASKS, RESULT], tools=[TOOL], knows_tools=False)
    assert "price" not in turns
    assert turns.endswith(
        "<|im_start|>assistant\nI ask.<|im_end|>\n<|im_start|>tool\n2<|im_end|>\n<|im_start|>assistant\n"
    )


async def test_messages_and_tools_of_another_shape_are_refused(client: Client) -> None:
    async with ScriptedServer(LOOP) as server:
        for body in ({"tools": [{"name": "price"}]}, {"messages": [{"content": "?"}]}):
            status, _ = await client.post(server, "/tokenize", **{"messages": [QUESTION], **body})
            assert status == 400


def test_markers_of_calls_are_single_ids_as_far_as_a_model_has_them() -> None:
    """Guards clients that look for a marker by its id, and those that must do without."""
    a, b = ScriptedServer(LOOP).model.tokenizer, ScriptedServer(LOOP, tokenizer="b").model.tokenizer
    assert [len(a.encode(marker)) for marker in ("<tool_call>", "</tool_call>")] == [1, 1]
    assert all(len(b.encode(marker)) > 1 for marker in ("<tool_call>", "</tool_call>"))
    assert a.backend.decode(a.encode(CALL), skip_special_tokens=True) == CALL


@pytest.mark.parametrize("knows_tools", [True, False])
@pytest.mark.parametrize(("template", "tokenizer"), [("think", "a"), ("qwen3", "b"), ("instruct", "a")])
async def test_a_script_has_a_turn_for_each_result(
    client: Client, template: Any, tokenizer: Any, knows_tools: bool
) -> None:
    options: Any = {"template": template, "tokenizer": tokenizer, "knows_tools": knows_tools}
    async with ScriptedServer(LOOP, **options) as server:
        turns: list[Any] = [QUESTION]
        for expected in ("The price is not known.", "It is 2.", "Now it is 3.", "Now it is 3."):
            text = await said(client, server, await tokenized(client, server, *turns, tools=[TOOL]))
            assert text.removeprefix("<think>\n").startswith(expected)
            turns += [ASKS, RESULT, RESULT]
        text = await said(client, server, await tokenized(client, server, *turns, ASKS, QUESTION))
        assert text.removeprefix("<think>\n").startswith("The price is not known.")


@pytest.mark.parametrize("content", ["Result of price:\n2", "<tool_response>\n2\n</tool_response>"])
async def test_results_may_be_told_by_the_user(client: Client, content: str) -> None:
    """Guards clients of templates that know no tools: they say in words what came back."""
    async with ScriptedServer(LOOP, template="think", knows_tools=False) as server:
        turns = [QUESTION, {"role": "assistant", "content": CALL}, {"role": "user", "content": content}]
        assert (await said(client, server, await tokenized(client, server, *turns))).startswith("It is 2.")


async def test_a_judge_of_a_later_turn_has_its_scores(client: Client) -> None:
    """Guards verdicts in a loop: results are no judge's request, and the judged turn's own script knows its scores."""
    async with ScriptedServer(LOOP, template="think") as server:
        score = [{"role": "assistant", "content": "SENTINEL"}, {"role": "user", "content": "Score it."}]
        rendered = await tokenized(client, server, *score, add_generation_prompt=True)
        _, _, behind = server.model.tokenizer.spell(rendered).decode().partition("SENTINEL")
        behind = behind.removesuffix("<think>\n")
        for turns, expected in (([QUESTION], "5"), ([QUESTION, ASKS, RESULT], "3")):
            prompt = await tokenized(client, server, *turns)
            assert await said(client, server, prompt, "Some step.\n\n" + behind, max_tokens=1) == expected


@pytest.mark.parametrize("tokenizer", ["a", "b"])
async def test_a_call_goes_on_over_several_requests(client: Client, tokenizer: Any) -> None:
    """Guards clients that write the markup, and have the name chosen and the arguments held to a schema."""
    async with ScriptedServer(LOOP, template="think", tokenizer=tokenizer) as server:
        prompt = await tokenized(client, server, QUESTION, tools=[TOOL])
        text = "The price is not known.</think>\n\nI ask.\n<tool_call>\n"
        text += '{"name":"'
        choice = {"choice": ["buy", "price", "pri"]}
        assert await said(client, server, prompt, text, structured_outputs=choice) == "price"
        behind = {"choice": ['price","arguments":', 'pri","arguments":']}
        assert await said(client, server, prompt, text, structured_outputs=behind) == 'price","arguments":'
        text += 'price","arguments": '
        schema = {"json": {"type": "object", "properties": {"of": {"type": "string"}}, "required": ["of"]}}
        assert await said(client, server, prompt, text, structured_outputs=schema) == '{"of": "milk"}'
        text += '{"of": "milk"}}\n</tool_call>'
        assert await said(client, server, prompt, text) == ""


async def test_what_the_script_does_not_say_is_made_to_fit(client: Client) -> None:
    """Guards forced calls: a real engine writes what fits, whatever the model would have said."""
    schema: Any = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 2}}, "required": ["n"]}
    async with ScriptedServer(Script(["Hm."], answer='{"n": 1} and more'), template="think") as server:
        prompt = await tokenized(client, server, QUESTION)
        behind = "Hm.</think>"
        assert await said(client, server, prompt, behind, structured_outputs={"choice": ["b", "a"]}) == "b"
        assert await said(client, server, prompt, behind, structured_outputs={"json": schema}) == '{"n": 2}'
        for fits in ({"type": "object"}, json.dumps({"type": "object"})):
            assert await said(client, server, prompt, behind, structured_outputs={"json": fits}) == '{"n": 1}'


@pytest.mark.parametrize("field", [{}, {"json": {}, "choice": ["a"]}, {"choice": "a"}])
async def test_structures_of_no_kind_or_two_are_refused(client: Client, field: Any) -> None:
    async with ScriptedServer(LOOP) as server:
        body = {"prompt": await tokenized(client, server, QUESTION), "structured_outputs": field}
        status, answer = await client.post(server, "/v1/completions", **body)
        assert status == 400
        assert "structured_outputs" in str(answer)


async def test_a_server_may_ignore_structured_outputs(client: Client) -> None:
    """Guards against servers that do not know the field: its effect has to be looked at."""
    async with ScriptedServer(LOOP) as server:
        server.fail(Fault("ignores_structured_outputs"))
        prompt = await tokenized(client, server, QUESTION)
        text = await said(client, server, prompt, structured_outputs={"choice": ["a"]})
        assert text == "The price is not known."
        assert await said(client, server, prompt, structured_outputs={"choice": ["a"]}) == "a"
