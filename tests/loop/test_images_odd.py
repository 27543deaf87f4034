"""Runs with images, counted to the token, and with what else may stand in a conversation."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from drawings import drawing
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import ConfigError, Settings, create_specreason
from specreason_graph.contract.errors import EndpointFailed
from specreason_graph.loop.history import runs_of
from specreason_graph.testing import Fault, Script, ScriptedServer
from specreason_graph.testing.inference import INFERENCE

from .test_images import BLUE, RED, pair_of, server, shown
from .test_tracing import Tracer, below, tokens

ROLES = {"draft": "draft", "judge": "judge", "regenerate": "base"}


@pytest.mark.parametrize("judge", ["paper", "likelihood"])
@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("answer_by", ["base", "draft"])
async def test_tokens_of_images_are_counted_in_every_request(judge: str, overlap: bool, answer_by: Any) -> None:
    """Also in those that are cut, whose usage no server tells; and callbacks are told of all that is paid."""
    tracer = Tracer()
    listening: list[BaseCallbackHandler] = [tracer]
    settings = Settings(judge=judge, look_ahead=overlap, hedge=overlap, answer_by=answer_by)
    async with pair_of(server("base"), server("draft")) as (servers, pair):
        graph = create_specreason(pair=pair, settings=settings).compile()
        state = await graph.ainvoke({"messages": [shown(RED)]}, {"callbacks": listening})
        sent: dict[str, int] = {}
        for it in (servers.base, servers.draft):
            asked = [record for record in it.requests if record.path == INFERENCE][1:]  # without the black square
            sent[it.config.model or ""] = sum(len(prompt) for record in asked for prompt in record.prompts)
    usage, told = state["specreason_usage"], list(below(tracer.root))
    names = {"base": "scripted-base", "draft": "scripted-draft"}
    assert usage["draft"]["prompt_tokens"] == sent["scripted-draft"]
    assert usage["base"]["prompt_tokens"] + usage["judge"]["prompt_tokens"] == sent["scripted-base"]
    for role, counts in usage.items():
        of_role = {**ROLES, "answer": answer_by}
        paid = [
            tokens(run)
            for run in told
            if of_role.get(run.name) == role
            or (run.name == "look" and names.get(role) == run.extra["metadata"]["ls_model_name"])
        ]
        assert (counts["prompt_tokens"], counts["completion_tokens"]) == tuple(map(sum, zip(*paid, strict=True)))


@tool
def look(at: str) -> str:
    """Look at SHOWN0E, at SHOWN1E, and at QUOTED0E."""
    return at


def calling(step: str) -> Script:
    call = '<tool_call>\n{"name": "look", "arguments": {"at": "SHOWN7E"}}\n</tool_call>'
    return Script([step], answer=call, then=[Script(["I see."], answer="12")])


@pytest.mark.parametrize("step", ["So I look at SHOWN0E.", "So I look at <|image_pad|> there."])
async def test_images_stand_where_they_were_shown_and_nowhere_else(step: str) -> None:
    """Calls, tools and what a model wrote may spell a word of ours or the model's placeholder: no image is put there.

    Nor does a run fail of it.
    """
    servers = [
        ScriptedServer(calling(step), template="think", sees=True, scale_out=True, model=name, context=16000)
        for name in ("scripted-base", "scripted-draft")
    ]
    settings = Settings(tools=[look], look_ahead=False, hedge=False)
    async with pair_of(*servers) as (_, pair):
        graph = create_specreason(pair=pair, settings=settings).compile()
        first = await graph.ainvoke({"messages": [shown(RED)]})
        reply = first["messages"][-1]
        block: Any = shown(BLUE).content[0]
        result = ToolMessage([block], tool_call_id=reply.tool_calls[0]["id"])
        state = await graph.ainvoke({"messages": [*first["messages"], result]})
    assert state["messages"][-1].text == "12"
    for it in servers:
        last = [record for record in it.requests if record.path == INFERENCE][-1].body
        assert [part["uuid"] for part in last["content_parts"]] == [drawing(name).uuid for name in ("red", "blue")]
        place = it.model.tokenizer.id("<|image_pad|>")
        [_, second] = [at for at, token in enumerate(last["token_ids"]) if token == place]
        told = it.model.tokenizer.spell(last["token_ids"]).decode()
        assert '"at": "SHOWN7E"' in told
        assert "Look at SHOWN0E, at SHOWN1E, and at QUOTED0E." in told
        before = it.model.tokenizer.spell(last["token_ids"][:second]).decode()
        assert before.endswith("<tool_response>\n"), "behind the call, where the result is"


async def test_a_thread_knows_its_runs_with_images() -> None:
    """Guards pages of threads: a run is found where it ended, though its images are put away in between."""
    thread: Any = {"configurable": {"thread_id": "t"}}
    async with pair_of(server("base"), server("draft")) as (_, pair):
        saver = InMemorySaver()
        graph = create_specreason(pair=pair).compile(checkpointer=saver)
        await graph.ainvoke({"messages": [shown(RED, text="First?")]}, thread)
        paused = create_specreason(pair=pair).compile(checkpointer=saver, interrupt_before=["regenerate"])
        await paused.ainvoke({"messages": [shown(BLUE, text="Second?")]}, thread)
        await graph.ainvoke({"messages": [shown(BLUE, text="Third?")]}, thread)
        states = [await graph.aget_state(run.last) for run in await runs_of(saver, "t")]
    asked = [state.values["messages"][-1 - state.values["specreason_done"]].text for state in states]
    assert asked == ["First?", "Second?", "Third?"]
    assert [len(state.values["specreason_steps"]) for state in states] == [5, 2, 5]


async def test_base_looks_once_while_the_draft_is_gone() -> None:
    """Every node tries the draft again, and base has seen the images already."""
    async with pair_of(server("base"), server("draft")) as (servers, pair):
        graph = create_specreason(pair=pair).compile()
        await graph.ainvoke({"messages": [shown(RED)]})
        begun = len(servers.base.requests)
        servers.draft.fail(Fault("status", status=500), path=INFERENCE, times=None)
        state = await graph.ainvoke({"messages": [shown(BLUE)]})
        asked = [record.body for record in servers.base.requests[begun:] if record.path == INFERENCE]
    assert state["messages"][-1].text == "12"
    assert [step["source"] for step in state["specreason_steps"]] == ["base"] * 5
    assert sum(body["sampling_params"]["max_tokens"] == 1 for body in asked) == 1


async def test_images_of_all_who_speak_are_put_away_in_mid_run_and_are_back_in_the_end() -> None:
    """Guards disks: what a model has drawn is as many bytes as what a user shows."""
    thread: Any = {"configurable": {"thread_id": "t"}}
    red: Any = shown(RED).content[0]
    said: list[AnyMessage] = [
        SystemMessage(["See.", red]),
        HumanMessage("Draw it."),
        AIMessage([red]),
        HumanMessage([{**red, "file_id": None}, "And this?"]),
    ]
    async with pair_of(server("base"), server("draft")) as (_, pair):
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_before=["regenerate"])
        paused = await graph.ainvoke({"messages": said}, thread)
        state = await graph.ainvoke(None, thread)
    assert red["base64"] not in repr(paused["messages"])
    assert [message.content for message in state["messages"][:-1]] == [message.content for message in said]


async def test_values_that_are_streamed_hold_no_bytes_until_the_end() -> None:
    """Guards browsers and `/runs`: a run has hundreds of nodes, and LangGraph's server sends its values behind each."""
    said, reference = shown(RED, id="q"), "specreason:"
    async with pair_of(server("base"), server("draft")) as (_, pair):
        graph = create_specreason(pair=pair).compile()
        values = [repr(state) async for state in graph.astream({"messages": [said]}, stream_mode="values")]
    asked, *between, end = values
    data = base64.b64encode(RED).decode()
    assert all(reference in told and data not in told for told in between)
    assert (asked.count(data), end.count(data)) == (1, 1)
    assert reference not in end


async def test_an_image_that_base_breaks_on_is_the_users_and_a_broken_base_is_not() -> None:
    """Guards who is told: others can be sent, and a server that sees none any more has to be looked after."""
    async with pair_of(server("base"), server("draft")) as (servers, pair):
        graph = create_specreason(pair=pair).compile()
        await graph.ainvoke({"messages": [shown(BLUE)]})
        servers.base.fail(Fault("status", status=500), path=INFERENCE)
        with pytest.raises(ConfigError, match="refuses the images"):
            await graph.ainvoke({"messages": [shown(RED)]})
        servers.base.fail(Fault("status", status=500), path=INFERENCE, times=None)
        with pytest.raises(EndpointFailed, match="500"):
            await graph.ainvoke({"messages": [shown(RED)]})
