"""SpecReason as a chat model: what a call gives, what it may say, and what is refused in one line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from chat import BASE, QUESTION, STEPS, offline, served, served_beside, streamed
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import ConfigurableField

from specreason_graph import ChatSpecReason, ConfigError, EndpointError, Settings
from specreason_graph.testing import Pace, Script, ScriptedServer


async def test_the_reply_has_the_answer_as_text_and_the_reasoning_as_a_block() -> None:
    async with served() as (model, _):
        reply = await model.ainvoke(QUESTION)
    assert reply.content == reply.text == "There are 12 legs."
    assert reply.content_blocks == [
        {"type": "reasoning", "reasoning": "\n\n".join(STEPS)},
        {"type": "text", "text": "There are 12 legs."},
    ]


async def test_usage_is_all_that_the_servers_read_and_wrote() -> None:
    """Tokens that were thrown away cost as much as others."""
    async with served(settings=Settings(hedge=False, look_ahead=False)) as (model, servers):
        reply = await model.ainvoke(QUESTION)
        records = [*servers.base.completions, *servers.draft.completions]
    usage = reply.usage_metadata
    assert usage is not None
    assert usage["input_tokens"] == sum(len(prompt) for record in records for prompt in record.prompts)
    assert usage["output_tokens"] == sum(record.tokens for record in records)
    assert usage["input_token_details"]["cache_read"] == sum(record.cached_tokens for record in records)
    answer = servers.base.completions[-1]
    assert usage["output_tokens"] - usage["output_token_details"]["reasoning"] == answer.tokens


async def test_the_metadata_say_which_models_and_how_it_went() -> None:
    async with served() as (model, _):
        metadata = (await model.ainvoke(QUESTION)).response_metadata
    assert (metadata["model_name"], metadata["finish_reason"]) == ("scripted-base", "stop")
    run = metadata["specreason"]
    assert run["models"] == {"base": "scripted-base", "draft": "scripted-draft"}
    assert (run["ended"], run["steps"], run["acceptance_rate"]) == ("finished", 3, 2 / 3)
    assert run["usage"]["judge"]["requests"] == 3


@pytest.mark.parametrize(
    ("template", "settings"),
    [
        ("think", {}),
        ("instruct", {"judge": "paper"}),
        ("instruct", {"judge": "paper", "max_steps": 2}),
        ("think", {"max_steps": 1}),
        ("think", {"answer_budget": 4}),
    ],
)
async def test_a_stream_joins_to_the_reply(template: str, settings: dict[str, Any]) -> None:
    """Also for instruct models, whose last step is the answer and no reasoning."""
    async with served(template=template, settings=Settings(hedge=False, look_ahead=False, **settings)) as (model, _):
        reply = await model.ainvoke(QUESTION)
        whole, chunks = await streamed(model)
    assert whole.content == reply.content != ""
    assert whole.content_blocks == reply.content_blocks
    assert whole.response_metadata["finish_reason"] == reply.response_metadata["finish_reason"]
    assert whole.usage_metadata is not None
    assert reply.usage_metadata is not None
    assert whole.usage_metadata["output_tokens"] == reply.usage_metadata["output_tokens"]
    assert [chunk.chunk_position for chunk in chunks] == [None] * (len(chunks) - 1) + ["last"]


async def test_steps_are_told_as_they_are_kept_and_the_answer_as_it_is_written() -> None:
    async with served(settings=Settings(hedge=False, look_ahead=False)) as (model, servers):
        requests = [
            (chunk.additional_kwargs.get("reasoning_content"), chunk.content, len(servers.base.completions))
            async for chunk in model.astream(QUESTION)
        ]
    steps = [(text.strip(), count) for text, _, count in requests if text]
    assert steps == [(STEPS[0], 1), (STEPS[1], 3), (STEPS[2], 4)]  # judge; judge and step; judge
    assert len([content for _, content, _ in requests if content]) > 3


async def test_an_abandoned_stream_leaves_nothing_running() -> None:
    base = ScriptedServer(BASE, template="think", pace=Pace(seconds_per_token=0.01), model="base")
    async with served(base) as (model, servers):
        async for _ in model.astream(QUESTION):
            break
        await servers.base.idle()
        await servers.draft.idle()
        asked = len(servers.base.completions)
        await asyncio.sleep(0.05)
        assert len(servers.base.completions) == asked


def test_an_abandoned_sync_stream_leaves_nothing_running(until: Callable[[Callable[[], object]], None]) -> None:
    base = ScriptedServer(BASE, template="think", pace=Pace(seconds_per_token=0.01), model="base")
    with served_beside(base) as (model, servers):
        for _ in model.stream(QUESTION):
            break
        until(lambda: servers.base.running == servers.draft.running == 0)
        asked = len(servers.base.completions)
        time.sleep(0.05)
        assert len(servers.base.completions) == asked


async def test_stops_end_the_answer_and_not_the_reasoning() -> None:
    async with served(Script(STEPS, answer="12 legs. So 12 it is.")) as (model, servers):
        reply = await model.ainvoke(QUESTION, stop=["So 12"])
        other = await model.bind(stop=[" it"]).ainvoke(QUESTION)
    assert reply.content == "12 legs."
    assert other.content == "12 legs. So 12"
    assert "So 12." in reply.additional_kwargs["reasoning_content"]
    assert all(not record.body["stop"] for record in servers.draft.completions)


async def test_stops_end_an_answer_that_is_a_last_step() -> None:
    script = Script(["3 * 4 = 12.", "So 12 legs, or 6 pairs."])
    async with served(script, script, template="instruct", stop=[", or"], settings=Settings(boxed=True)) as (model, _):
        reply = await model.ainvoke(QUESTION)
        whole, _ = await streamed(model)
    assert reply.content == whole.content == "So 12 legs"


async def test_a_call_may_set_what_a_run_may_choose() -> None:
    async with served(temperature=0.3, settings=Settings(max_steps=2, temperature=0.9)) as (model, servers):
        reply = await model.bind(threshold=2).ainvoke(QUESTION, max_tokens=5, seed=7)
    run = reply.response_metadata["specreason"]
    assert (run["ended"], run["steps"], run["acceptance_rate"]) == ("steps", 2, 1.0)
    assert servers.base.completions[-1].body["max_tokens"] == 5
    assert servers.draft.completions[0].body["temperature"] == 0.3
    assert reply.response_metadata["finish_reason"] == "length"


async def test_settings_can_be_a_field_of_the_config() -> None:
    async with served() as (model, _):
        choosing = model.configurable_fields(settings=ConfigurableField(id="specreason"))
        config: Any = {"configurable": {"specreason": {"max_steps": 1}}}
        replies = [await choosing.ainvoke(QUESTION), await choosing.ainvoke(QUESTION, config)]
    assert [reply.response_metadata["specreason"]["steps"] for reply in replies] == [3, 1]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"temperature": 3}, r"^temperature: [^\n]*2$"),
        ({"max_tokens": 0}, r"^answer_budget: [^\n]*1$"),
        ({"stop": [""]}, r"^answer_stop.0: [^\n]*character$"),
        ({"settings": {"ask_band": (4, 6)}}, r"^ask_band: [^\n]*checkpointer$"),
        ({"settings": {"threshold": 99}}, r"^settings.threshold: [^\n]*9$"),
    ],
)
def test_impossible_values_are_told_when_it_is_made(values: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        offline(**values)


async def test_an_unknown_pair_is_told_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="there is no 'other'; configured are default"):
        await offline().ainvoke(QUESTION, pair="other")
    with pytest.raises(ConfigError, match="there is no 'other'; configured are default"):
        await streamed(offline(), pair="other")


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "there is no question"),
        ([AIMessage("4")], "there is no question"),
        ([HumanMessage("  ")], "the question is empty"),
        ([HumanMessage([{"type": "image", "url": "http://127.0.0.1/cow.png"}])], "takes no images"),
    ],
)
async def test_what_is_no_question_in_text_is_refused(messages: list[Any], said: str) -> None:
    async with served() as (model, _):
        with pytest.raises(ConfigError, match=said):
            await model.ainvoke(messages)


async def test_both_models_read_the_whole_conversation() -> None:
    conversation = [
        SystemMessage("Count legs."),
        HumanMessage("2 cows?"),
        AIMessage([{"type": "reasoning", "reasoning": "2 * 4"}, {"type": "text", "text": "8"}]),
        HumanMessage("And 3?", name="ada"),
    ]
    async with served() as (model, servers):
        await model.ainvoke(conversation)
    for server in (servers.base, servers.draft):
        asked = next(r.body["messages"] for r in server.requests if len(r.body.get("messages", ())) == 4)
        assert [(m["role"], m["content"]) for m in asked[:3]] == [
            ("system", "Count legs."),
            ("user", "2 cows?"),
            ("assistant", "8"),
        ]
        assert asked[3]["content"].startswith("And 3?")
    assert [message.id for message in conversation] == [None] * 4  # the caller's own are left alone


async def test_text_is_counted_in_bases_tokens() -> None:
    with served_beside() as (model, _):
        assert model.get_num_tokens("legs") == len(model.get_token_ids("legs")) == 4


async def test_without_a_pair_the_environment_says_where_the_models_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as (_, servers):
        monkeypatch.setenv("SPECREASON_BASE_URL", servers.base.url)
        monkeypatch.setenv("SPECREASON_DRAFT_URL", servers.draft.url)
        monkeypatch.setenv("SPECREASON_PRESET", "thinking")
        model = ChatSpecReason()
        assert (await model.ainvoke(QUESTION)).content == "There are 12 legs."
        await model.pairs["default"].aclose()


async def test_a_server_that_is_down_is_an_endpoint_error() -> None:
    with pytest.raises(EndpointError, match="base endpoint"):
        await offline().ainvoke(QUESTION)
