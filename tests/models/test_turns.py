"""A tool loop goes on token by token: each prompt begins with all that was read and written before, to the last id."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.contract.errors import EndpointBusy
from specreason_graph.models.presets import Preset
from specreason_graph.models.turns import _unpacked
from specreason_graph.testing import Fault, Script, ScriptedServer, scripted_pair

TURNS = 10


@tool
def count(so_far: int) -> int:
    """Count one more."""
    return so_far + 1


def script(template: str) -> Script:
    scripts = []
    for turn in range(TURNS):
        call = f"<tool_call>\n{json.dumps({'name': 'count', 'arguments': {'so_far': turn}})}\n</tool_call>"
        steps = [f"This is turn {turn}, “naïve” as it is.", f"So I count on, {turn} it was."]
        scripts.append(Script([*steps, call]) if template == "instruct" else Script(steps, answer=call))
    return Script(scripts[0].steps, answer=scripts[0].answer, then=[*scripts[1:], Script(["Enough."], answer="Ten.")])


def preset(template: str, keep: str, **values: Any) -> Preset:
    kind = {"kind": "thinking", "open": "<think>\n", "close": "</think>", "answer_cue": "</think>\n\n"}
    if template == "instruct":
        kind = {"kind": "instruct", "close": "Answer:", "answer_cue": "Answer:\n"}
    return Preset.model_validate({"name": "mine", "source": "", "keep_reasoning": keep, **kind, **values})


async def looped(graph: Any, messages: list[AnyMessage]) -> list[AnyMessage]:
    """A tool loop by hand, to its answer."""
    while True:
        state = await graph.ainvoke({"messages": [message.model_copy() for message in messages]})
        reply = state["messages"][-1]
        messages = [*messages, reply]
        if not reply.tool_calls:
            return messages
        messages += [
            ToolMessage(f"It is {call['args']['so_far'] + 1} now.", tool_call_id=call["id"])
            for call in reply.tool_calls
        ]


@pytest.mark.parametrize("tokenizers", ["aa", "ab"])
@pytest.mark.parametrize("template", ["think", "qwen3", "instruct"])
async def test_the_prefix_cache_holds_over_ten_tool_turns(template: Any, tokenizers: Any) -> None:
    servers = [ScriptedServer(script(template), template=template, tokenizer=it, context=16000) for it in tokenizers]
    async with scripted_pair(*servers, preset="mine") as running, Pair(running.config) as pair:
        settings = Settings(tools=[count], hedge=False, look_ahead=False)
        graph = create_specreason(pair=pair, settings=settings, presets=[preset(template, "turn")]).compile()
        messages = await looped(graph, [SystemMessage("Be exact."), HumanMessage("Count to ten.")])
    replies = [message for message in messages if isinstance(message, AIMessage)]
    assert [call["args"]["so_far"] for reply in replies for call in reply.tool_calls] == list(range(TURNS))
    assert replies[-1].text == "Ten."
    for server in servers:
        written = [record for record in server.completions if record.body.get("stream")]
        for before, after in pairwise(written):
            read = len(before.prompts[0])
            assert after.prompts[0][:read] == before.prompts[0], "every prompt begins with the one before it"
            assert after.cached_tokens >= read // 16 * 16


@pytest.mark.parametrize("template", ["think", "instruct"])
async def test_the_reasoning_of_a_turn_stays_before_the_models_until_the_next(template: Any) -> None:
    async with (
        scripted_pair(script(template), script(template), template=template) as servers,
        Pair(servers.config) as pair,
    ):
        graphs = {
            keep: create_specreason(
                pair=pair, settings=Settings(tools=[count], preset="mine"), presets=[preset(template, keep)]
            ).compile()
            for keep in ("turn", "never", "always")
        }
        first = (await graphs["turn"].ainvoke({"messages": [HumanMessage("Count.")]}))["messages"]
        result = ToolMessage("1", tool_call_id=first[-1].tool_calls[0]["id"])
        kept: dict[Any, str] = {}
        for keep, graph in graphs.items():
            await graph.ainvoke({"messages": [*first, result]})
            kept[keep] = spelled(servers.base)
            await graph.ainvoke({"messages": [*first, result, AIMessage("One."), HumanMessage("And?")]})
            kept[keep, "later"] = spelled(servers.base)
    said = "So I count on, 0 it was."
    assert {key: said in text for key, text in kept.items()} == {
        "turn": True,
        ("turn", "later"): False,
        "never": False,
        ("never", "later"): False,
        "always": True,
        ("always", "later"): True,
    }


def spelled(server: ScriptedServer) -> str:
    """The prompt behind which the last answer was begun, up to the assistant's last turn."""
    text = server.model.tokenizer.spell(server.completions[-1].prompts[0]).decode()
    return text.rpartition("<|im_start|>assistant")[0]


@pytest.mark.parametrize("change", ["content", "args", "elsewhere", "garbage", "question"])
async def test_a_reply_that_was_changed_is_read_as_it_is_now(change: str) -> None:
    """A person may edit a call before it runs, a client may send anything: the ids are then of another text."""
    async with (
        scripted_pair(script("think"), script("think"), template="think") as servers,
        Pair(servers.config) as pair,
    ):
        graph = create_specreason(pair=pair, settings=Settings(tools=[count])).compile()
        question = HumanMessage("Count.")
        reply: AIMessage = (await graph.ainvoke({"messages": [question]}))["messages"][-1]
        about = reply.response_metadata["specreason"]
        assert about["tokens"], "else nothing is tested here"
        match change:
            case "content":
                reply.content = "Changed."
            case "args":
                reply.tool_calls[0]["args"] = {"so_far": 77}
            case "elsewhere":
                about["tokens"]["openings"] = {"base": "0", "draft": "0"}
            case "garbage":
                about["tokens"]["ids"] = {"base": "!", "draft": "eJw="}
            case "question":
                question = HumanMessage("Count 77.")
        result = ToolMessage("1", tool_call_id=reply.tool_calls[0]["id"])
        state = await graph.ainvoke({"messages": [question, reply, result]})
        assert state["messages"][-1].tool_calls, "it goes on all the same"
        text = servers.base.model.tokenizer.spell(servers.base.completions[-1].prompts[0]).decode()
    assert {"content": "Changed.", "args": "77", "question": "77"}.get(change, "So I count on, 0") in text


async def test_a_budget_of_the_turn_is_what_all_its_runs_share() -> None:
    async with (
        scripted_pair(script("think"), script("think"), template="think") as servers,
        Pair(servers.config) as pair,
    ):
        settings = Settings(tools=[count], turn_reasoning_budget=40, step_tokens=30)
        graph = create_specreason(pair=pair, settings=settings).compile()
        messages = await looped(graph, [HumanMessage("Count.")])
        more = await graph.ainvoke({"messages": [*messages, HumanMessage("Again.")]})
    replies = [message for message in messages if isinstance(message, AIMessage)]
    spent = [reply.response_metadata["specreason"]["reasoning_tokens"] for reply in replies]
    assert 30 < sum(spent) <= 40
    assert spent[-1] == 0
    assert replies[-1].text == "Ten.", "without reasoning, it still acts"
    assert more["messages"][-1].response_metadata["specreason"]["reasoning_tokens"] > 0


async def test_a_plain_reply_carries_no_ids() -> None:
    """Nothing goes on behind it, but where the preset keeps reasoning always."""
    async with (
        scripted_pair(Script(["x"]), Script(["x"]), template="think", preset="mine") as servers,
        Pair(servers.config) as pair,
    ):
        for keep, expected in (("turn", False), ("never", False), ("always", True)):
            graph = create_specreason(pair=pair, presets=[preset("think", keep)]).compile()
            reply = (await graph.ainvoke({"messages": [HumanMessage("?")]}))["messages"][-1]
            assert ("tokens" in reply.response_metadata["specreason"]) == expected


@pytest.mark.parametrize("answer_by", ["base", "draft"])
@pytest.mark.parametrize("gone", [False, True])
async def test_a_reply_is_read_by_each_model_in_its_own_tokens(answer_by: str, *, gone: bool) -> None:
    """Guards pairs across tokenizers, whoever answers; a draft that is gone by then reads the conversation anew."""
    said = Script(["One and two."], answer="Three, naïvely.")
    servers = [
        ScriptedServer(said, template="think", tokenizer=tokenizer, model=f"scripted-{tokenizer}")
        for tokenizer in ("a", "b")
    ]
    async with scripted_pair(servers[0], servers[1], preset="mine") as running:
        config = running.config.model_copy(update={"draft": running.config.draft.model_copy(update={"patience": 0.1})})
        async with Pair(config) as pair:
            graph = create_specreason(
                pair=pair, presets=[preset("think", "always")], settings=Settings(answer_by=answer_by, hedge=False)
            ).compile()
            state: Any = {}
            asked = {"messages": [HumanMessage("?")]}
            async for mode, part in graph.astream(asked, stream_mode=["custom", "values"]):
                state = part if mode == "values" else state
                if gone and mode == "custom" and part["event"] == "reasoning_ended":
                    servers[1].fail(Fault("close"), path=None, times=None)
            reply = state["messages"][-1]
            record = reply.response_metadata["specreason"]["tokens"]
            assert reply.text == "Three, naïvely."
            for role, server in zip(("base", "draft"), servers, strict=True):
                if role == "draft" and gone:
                    assert {*record["openings"], *record["ids"]} == {"base"}
                else:
                    text = server.model.tokenizer.spell(_unpacked(record["ids"][role])).decode()
                    assert text.startswith("One and two."), text
                    assert text.endswith("Three, naïvely."), text


async def test_a_server_that_is_busy_for_a_moment_does_not_change_what_a_reply_is_read_as() -> None:
    """Guards what was written before: a refusal says that a template can't go on behind it, being busy does not."""
    servers = [ScriptedServer(script("think"), template="think", context=16000) for _ in "bd"]
    async with scripted_pair(*servers, preset="mine") as running:

        async def asked(messages: list[AnyMessage]) -> list[AnyMessage]:
            async with Pair(running.config) as pair:
                graph = create_specreason(
                    pair=pair, settings=Settings(tools=[count]), presets=[preset("think", "turn")]
                )
                return (await graph.compile().ainvoke({"messages": messages}))["messages"]  # type: ignore[no-any-return]

        reply: Any = (await asked([HumanMessage("Count to ten.")]))[-1]
        messages = [HumanMessage("Count to ten."), reply, ToolMessage("1", tool_call_id=reply.tool_calls[0]["id"])]
        before = len(servers[0].requests)
        await asked(messages)
        looked_up = [record.body for record in servers[0].requests[before:] if record.path == "/tokenize"]
        places = [at for at, body in enumerate(looked_up) if "messages" in body or len(body["prompt"]) > 1]
        assert len(places) > 5
        for fine in places:
            for _ in range(fine):
                servers[0].fail(Fault("no_usage"), path="/tokenize")
            servers[0].fail(Fault("status", status=503, retry_after="99"), path="/tokenize")
            with pytest.raises(EndpointBusy):
                await asked(messages)
            servers[0]._faults.clear()
