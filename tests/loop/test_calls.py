"""Calls of tools: held to their schemas in every format, whole or none, and with ids that a resume keeps."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import Solve
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from specreason_graph import EndpointError, Pair, Settings, create_specreason
from specreason_graph.models.tool_format import builtin_formats
from specreason_graph.testing import Fault, Pace, Script, ScriptedServer, scripted_pair

from .calling import QUESTION, STEPS, TOOLS, add, called, preset, reply_of, say

ANOTHER: Any = {"messages": [("user", "and?")]}


@pytest.mark.parametrize("template", ["think", "instruct"])
@pytest.mark.parametrize("format_name", ["hermes", "qwen3-coder", "deepseek"])
async def test_every_format_is_data(format_name: str, template: Any) -> None:
    """Base writes names and arguments; the calls that come of it are the same, whatever surrounds them."""
    wanted: Any = [("add", {"a": 2, "b": -3}), ("say", {"text": 'a "b"\n<c> 🙂', "loud": True}), ("now", {})]
    reply, state = await called(format_name, template, wanted)
    assert [(call["name"], call["args"]) for call in reply.tool_calls] == wanted
    assert not reply.invalid_tool_calls
    assert reply.content == ("" if template == "instruct" else "Wait.")
    assert reply.additional_kwargs["reasoning_content"] == "\n\n".join(STEPS)
    assert reply.response_metadata["finish_reason"] == "tool_calls"
    assert state["specreason_ended"] == ("call" if template == "instruct" else "finished")


@pytest.mark.parametrize("format_name", ["hermes", "qwen3-coder", "deepseek"])
async def test_what_is_written_is_the_format_to_the_letter(format_name: str) -> None:
    """But for blanks in the JSON: what base reads behind it is what it would have written."""
    wanted: Any = [("add", {"a": 2, "b": 3}), ("say", {"text": "hello"})]
    _, state = await called(format_name, "think", wanted)
    spelled = builtin_formats()[format_name].spelled(wanted)
    written = state["written"].rpartition("Wait.\n")[2]
    assert spelled.replace(" ", "").startswith(written.replace(" ", ""))
    assert '"b"' not in written or json.dumps({"a": 2, "b": 3}) in written


@pytest.mark.parametrize(
    "written", ['```json\n{\n  "name": "now",\n  "arguments": {}\n}\n```', '{"name": "now", "arguments": {}}']
)
@pytest.mark.parametrize("template", ["think", "instruct"])
async def test_what_a_small_model_writes_in_a_calls_place_opens_one(solve: Solve, template: Any, written: str) -> None:
    """Its format says what that is; nothing of it is told as an answer, and what it can't hold is not believed."""
    call = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    script = Script(lambda said: _instead(said, written, call, closes=template == "think"))
    mine = preset("qwen2.5-coder", template).model_copy(update={"judge": "likelihood", "threshold": -9.0})
    async with scripted_pair(script, script, template=template) as servers, Pair(servers.config) as pair:
        settings = Settings(tools=TOOLS, preset="mine", hedge=False, look_ahead=False)
        graph = create_specreason(pair=pair, presets=[mine], settings=settings).compile()
        told = [part async for part in graph.astream(QUESTION, stream_mode="custom")]
        reply = reply_of(await graph.ainvoke(QUESTION))
    assert [(call["name"], call["args"]) for call in reply.tool_calls] == [("now", {})]
    assert reply.content == ""
    assert not [event for event in told if event["event"] == "answer_token"]


def _instead(said: str, written: str, call: str, *, closes: bool) -> str:
    """All that is still to come of a step, and of what is written in a call's place; behind the mark, of a call."""
    if "<tool_call>" in said:
        return call[len("<tool_call>" + said.rpartition("<tool_call>")[2]) :] + "<|im_end|>"
    whole = "So I look." + ("\n</think>\n\n" if closes else "\n\n") + written + "<|im_end|>"
    return whole[len(said) :]


async def test_one_name_may_begin_another() -> None:
    for wanted in (("add", {"a": 1, "b": 1}), ("add_all", {"numbers": [1, 1]})):
        reply, _ = await called("hermes", "think", [wanted])
        assert [(call["name"], call["args"]) for call in reply.tool_calls] == [wanted]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("auto", ["add", "now"]), ("required", ["add", "now"]), ("add", ["add"]), ("none", [])],
)
@pytest.mark.parametrize("template", ["think", "instruct"])
async def test_the_choice_narrows_it(template: Any, choice: str, expected: list[str]) -> None:
    reply, _ = await called("hermes", template, [("add", {"a": 1, "b": 1}), ("now", {})], tool_choice=choice)
    assert [call["name"] for call in reply.tool_calls] == expected
    assert reply.response_metadata["finish_reason"] == ("tool_calls" if expected else "stop")


async def test_without_parallel_calls_the_first_one_is_all() -> None:
    calls: Any = [("add", {"a": 1, "b": 1}), ("now", {})]
    reply, _ = await called("hermes", "think", calls, parallel_tool_calls=False)
    assert [call["name"] for call in reply.tool_calls] == ["add"]


async def test_calls_are_required_of_a_model_that_would_answer(solve: Solve) -> None:
    solved = await solve(Script(STEPS, answer="Just 5."), Script(STEPS), tools=[add], tool_choice="required")
    [call] = reply_of(solved.state).tool_calls
    assert call["name"] == "add"
    assert isinstance(call["args"]["a"], int)
    assert reply_of(solved.state).content == ""


@pytest.mark.parametrize("budget", [8, 16, 24])
@pytest.mark.parametrize("format_name", ["hermes", "qwen3-coder", "deepseek"])
async def test_a_cut_call_is_none(format_name: str, budget: int) -> None:
    """It is told with its reason, never repaired, and nothing stands in for what is missing."""
    wanted: Any = [("say", {"text": "a long text that no such budget has room for, whatever the format " * 3})]
    reply, _ = await called(format_name, "think", wanted, tool_choice="say", answer_budget=budget)
    assert reply.tool_calls == []
    assert reply.response_metadata["finish_reason"] == "length"
    assert all("answer_budget" in call["error"] for call in reply.invalid_tool_calls)
    assert reply.usage_metadata["output_tokens"] > 0


@pytest.mark.parametrize("format_name", ["hermes", "qwen3-coder", "deepseek"])
async def test_arguments_that_go_in_circles_are_cut(format_name: str) -> None:
    """The budget would be the wrong thing to name: with more of it, there would be more of the same."""
    wanted: Any = [("say", {"text": "So it is 12.8 × 5/3 again. " * 60})]
    reply, _ = await called(format_name, "think", wanted, answer_budget=2000)
    assert reply.tool_calls == []
    [call] = reply.invalid_tool_calls
    assert (call["name"], "loop_detection" in call["error"]) == ("say", True)
    assert reply.response_metadata["finish_reason"] == "length"
    assert reply.response_metadata["specreason"]["answer_loops"]
    assert reply.response_metadata["specreason"]["answer_tokens"] < 600


async def test_whole_calls_before_a_cut_one_are_kept() -> None:
    wanted: Any = [("add", {"a": 2, "b": 3}), ("say", {"text": "a long text that has no room " * 9})]
    reply, _ = await called("hermes", "think", wanted, answer_budget=80)
    assert [call["name"] for call in reply.tool_calls] == ["add"]
    assert [call["name"] for call in reply.invalid_tool_calls] == ["say"]
    assert reply.response_metadata["finish_reason"] == "length"


async def test_a_server_that_holds_to_no_schema_calls_nothing() -> None:
    """The field is ignored with a 200 there, so the effect is looked at."""
    call = '<tool_call>\n{"name": "add", "arguments": {"a": "two"}}\n</tool_call>'
    base = ScriptedServer(Script(STEPS, answer=call), template="think")
    base.fail(Fault("ignores_structured_outputs"), times=None)
    async with scripted_pair(base, Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(tools=[add])).compile()
        reply = reply_of(await graph.ainvoke(QUESTION))
    assert reply.tool_calls == []
    assert [call["name"] for call in reply.invalid_tool_calls] == ["add"]
    assert reply.response_metadata["finish_reason"] == "stop"


class Tree(BaseModel):
    """A tree."""

    name: str
    children: list[Tree] = []


async def test_arguments_may_refer_to_themselves() -> None:
    tree = {"name": "a", "children": [{"name": "b", "children": [{"name": "c", "children": []}]}]}
    call = f"<tool_call>\n{json.dumps({'name': 'Tree', 'arguments': tree})}\n</tool_call>"
    script = Script(STEPS, answer=call)
    async with scripted_pair(script, script, template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(tools=[Tree])).compile()
        reply = reply_of(await graph.ainvoke(QUESTION))
        asked = servers.base.completions[-2].body["structured_outputs"]["json"]
    assert reply.tool_calls[0]["args"] == tree
    assert asked["$defs"]["Tree"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}


async def test_ids_are_the_same_on_resume_and_of_no_other_run() -> None:
    call = '<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>'
    base = ScriptedServer(Script(STEPS, answer=f"{call}\n{call}"), template="think")
    thread: Any = {"configurable": {"thread_id": "t"}}
    async with scripted_pair(base, Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(tools=[add])).compile(checkpointer=InMemorySaver())
        ids: list[str] = []

        async def failing() -> None:
            async for part in graph.astream(QUESTION, thread, stream_mode="custom"):
                if part["event"] == "tool_call_begun":
                    ids.append(part["id"])
                    base.fail(Fault("status", status=500))

        with pytest.raises(EndpointError):
            await failing()
        reply = reply_of(await graph.ainvoke(None, thread))
        assert [call["id"] for call in reply.tool_calls][: len(ids)] == ids
        assert ids
        again = reply_of(await graph.ainvoke(ANOTHER, thread))
        assert len({call["id"] for message in (reply, again) for call in message.tool_calls}) == 4


async def test_a_turn_of_no_steps_is_a_turn(solve: Solve) -> None:
    """An instruct model that opens with a call has reasoned enough."""
    call = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    for overlap in (True, False):
        solved = await solve(
            Script([call]), Script([call]), template="instruct", tools=TOOLS, hedge=overlap, look_ahead=overlap
        )
        assert [call["name"] for call in reply_of(solved.state).tool_calls] == ["now"]
        assert (solved.steps, solved.state["specreason_ended"]) == ([], "call")


async def test_a_draft_writes_no_call() -> None:
    """Whatever it would like to call: it is stopped at the mark, and what is called is base's choice."""
    base, draft = (
        Script([*STEPS, f"<tool_call>\n{json.dumps({'name': name, 'arguments': {}})}\n</tool_call>"])
        for name in ("now", "elsewhere")
    )
    for tokenizer in ("a", "b"):
        drafter = ScriptedServer(draft, tokenizer=tokenizer)
        async with scripted_pair(base, drafter) as servers, Pair(servers.config) as pair:
            graph = create_specreason(pair=pair, settings=Settings(tools=TOOLS, judge="paper")).compile()
            state = await graph.ainvoke(QUESTION)
        assert [call["name"] for call in reply_of(state).tool_calls] == ["now"]
        assert "elsewhere" not in "".join(step["text"] for step in state["specreason_steps"])


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("before", [[], ["I need a sum."]])
async def test_whether_to_act_is_for_base_to_say(solve: Solve, before: list[str], overlap: bool) -> None:
    """A draft that would always call is believed in its steps, and in nothing else: base finds a call likely, too."""
    call = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    base = Script([*before, "I know it."], answer="Five.", cue="Final answer:\n", alternatives={"<tool_call>": 0.09})
    draft = Script([*before, call])
    solved = await solve(base, draft, template="instruct", tools=TOOLS, judge="likelihood", hedge=overlap)
    assert reply_of(solved.state).tool_calls == []
    assert reply_of(solved.state).text == "Five."
    assert [step["source"] for step in solved.steps] == ["draft"] * len(before) + ["base"]
    mirrored = await solve(draft, base, template="instruct", tools=TOOLS, judge="likelihood", hedge=overlap)
    assert [call["name"] for call in reply_of(mirrored.state).tool_calls] == ["now"]


@pytest.mark.parametrize("answer", ["calls", "answers"])
async def test_a_schema_and_tools_together_give_the_one_or_the_other(solve: Solve, answer: str) -> None:
    text = {"calls": '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>', "answers": '{"legs": 12}'}[answer]
    schema = {"type": "object", "properties": {"legs": {"type": "integer"}}, "required": ["legs"]}
    solved = await solve(Script(STEPS, answer=text), Script(STEPS), tools=TOOLS, answer_schema=schema)
    reply = reply_of(solved.state)
    assert bool(reply.tool_calls) == (answer == "calls")
    assert reply.content == ("" if answer == "calls" else text)


async def test_a_deadline_cuts_a_call(solve: Solve) -> None:
    call = f"<tool_call>\n{json.dumps({'name': 'say', 'arguments': {'text': 'word ' * 200}})}\n</tool_call>"
    slow = ScriptedServer(Script([], answer=call), template="think", pace=Pace(seconds_per_token=0.01))
    solved = await solve(slow, Script([]), tools=[say], tool_choice="say", deadline=1.0, answer_reserve=0.8)
    reply = reply_of(solved.state)
    assert reply.tool_calls == []
    assert reply.response_metadata["finish_reason"] == "length"
