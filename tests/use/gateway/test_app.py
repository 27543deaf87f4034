"""The gateway as clients meet it: OpenAI's own client, and raw HTTP for the rest."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest
from openai import APIStatusError, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import SecretStr
from serving import Held

from specreason_graph import ConfigError, EndpointConfig, EndpointError, Pair, PairConfig, Settings, create_specreason
from specreason_graph.testing import Fault, Script, ScriptedServer, scripted_pair
from specreason_graph.use.gateway import Keys, opened

from .served import BASE, DRAFT, KEY, PRICE, QUESTION, REASONING, SHOPPER, STEPS, asking, served


async def test_a_reply_has_reasoning_answer_usage_and_the_figures_of_its_run() -> None:
    in_turn = Settings(look_ahead=False, hedge=False)  # what is cut does not tell of cached tokens
    async with served(settings=in_turn) as it, it.client as client:
        reply = await client.chat.completions.create(model="specreason", messages=QUESTION)
    [choice] = reply.choices
    assert (choice.index, choice.finish_reason) == (0, "stop")
    assert choice.message.content == "There are 12 legs."
    extra = choice.message.model_extra
    assert extra is not None
    assert extra["reasoning_content"] == extra["reasoning"] == REASONING
    assert reply.usage is not None
    assert reply.usage.completion_tokens_details is not None
    assert reply.usage.prompt_tokens_details is not None
    assert 0 < (reply.usage.completion_tokens_details.reasoning_tokens or 0) < reply.usage.completion_tokens
    assert 0 < (reply.usage.prompt_tokens_details.cached_tokens or 0) < reply.usage.prompt_tokens
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    figures = (choice.model_extra or {})["specreason"]
    assert (figures["ended"], figures["steps"]) == ("finished", 3)
    assert figures["acceptance_rate"] == pytest.approx(2 / 3)
    assert figures["usage"].keys() == {"draft", "base", "judge"}


async def test_streamed_steps_and_tokens_join_to_the_reply_that_is_not_streamed() -> None:
    alone = Settings(hedge=False, look_ahead=False)  # how far a dropped hedge got is in the usage
    async with served(settings=alone) as it, it.client as client:
        whole = await client.chat.completions.create(model="specreason", messages=QUESTION)
        stream = await client.chat.completions.create(
            model="specreason", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    *deltas, last = chunks
    assert last.choices == []
    assert last.usage is not None
    assert whole.usage is not None
    counts = last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens
    assert counts == (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens)
    assert len({chunk.id for chunk in chunks}) == 1
    pieces = [chunk.choices[0].delta for chunk in deltas]
    assert [piece.role for piece in pieces] == ["assistant", *[None] * (len(pieces) - 1)]
    reasoning = [piece.model_extra["reasoning_content"] for piece in pieces if piece.model_extra]
    answer = [piece.content for piece in pieces if piece.content]
    assert len(reasoning) == 3
    assert len(answer) > 3
    assert "".join(reasoning) == REASONING
    assert "".join(answer) == whole.choices[0].message.content
    endings = [chunk.choices[0] for chunk in deltas if chunk.choices[0].finish_reason]
    assert [ending.finish_reason for ending in endings] == ["stop"]
    assert (endings[0].model_extra or {})["specreason"]["steps"] == 3


@pytest.mark.parametrize("template", ["think", "instruct"])
async def test_answers_are_those_that_the_graph_gives(template: str) -> None:
    """Guards the answer of instruct models, too, which is their last step."""

    def ask(url: str) -> str | None:
        with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
            return client.chat.completions.create(model="specreason", messages=QUESTION).choices[0].message.content

    async with served(template=template) as it, it.client as client, Pair(it.servers.config) as pair:
        whole = await asyncio.to_thread(ask, it.url)
        stream = await client.chat.completions.create(model="specreason", messages=QUESTION, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        state = await create_specreason(pair=pair).compile().ainvoke({"messages": QUESTION})
    assert whole == "".join(pieces) == state["specreason_answer"]


@pytest.mark.parametrize(
    ("place", "base", "draft", "said"),
    [
        (0, BASE, DRAFT, [*REASONING.splitlines(), "There are 12 legs."]),
        (1, SHOPPER, SHOPPER, ["They cost 6 euros."]),
        (2, SHOPPER, SHOPPER, ["They cost 6 euros."]),
    ],
    ids=["openai", "openai with a tool", "pydantic-ai"],
)
async def test_the_clients_of_the_documentation(place: int, base: Script, draft: Script, said: list[str]) -> None:
    page = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()
    code = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)[place]
    async with served(base, draft) as it:
        environment = {**os.environ, "OPENAI_BASE_URL": f"{it.url}/v1", "OPENAI_API_KEY": KEY}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, env=environment, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
    assert out.decode().splitlines()[: len(said)] == said


async def test_raw_shapes_are_those_of_openai() -> None:
    """Guards clients that are stricter than OpenAI's own, which takes anything."""
    async with served() as it, it.http as http:
        whole = await http.post("/v1/chat/completions", json=asking())
        stream = await http.post("/v1/chat/completions", json=asking(stream=True))
    document = whole.json()
    ChatCompletion.model_validate(document, strict=True, extra="allow")
    assert (document["object"], document["model"]) == ("chat.completion", "specreason")
    assert stream.headers["content-type"].startswith("text/event-stream")
    *events, end, nothing = stream.text.split("\n\n")
    assert (end, nothing) == ("data: [DONE]", "")
    for event in events:
        chunk = json.loads(event.removeprefix("data: "))
        ChatCompletionChunk.model_validate(chunk, strict=True, extra="allow")
        assert chunk["choices"]
        assert "usage" not in chunk


async def test_silence_is_broken_by_comments_that_clients_skip() -> None:
    """Guards long steps: proxies and clients give up on a connection that says nothing."""
    base = Held(BASE)
    async with served(base, DRAFT, keep_alive=0.05) as it, it.http as http, it.client as client:
        whole = asyncio.create_task(client.chat.completions.create(model="specreason", messages=QUESTION, stream=True))
        async with http.stream("POST", "/v1/chat/completions", json=asking(stream=True)) as raw:
            lines = raw.aiter_lines()
            silence = [await anext(lines) for _ in range(6)]
            base.let_go()
            rest = [line async for line in lines]
        answer = "".join([chunk.choices[0].delta.content or "" async for chunk in await whole])
    assert silence == [": reasoning", ""] * 3
    assert rest[-2:] == ["data: [DONE]", ""]
    assert answer == "There are 12 legs."


async def test_models_health_and_names() -> None:
    draft = ScriptedServer(DRAFT, template="think", context=2048, model="small")
    async with served(draft=draft) as it, it.client as client, it.http as http:
        models = [model async for model in client.models.list()]
        one = await client.models.retrieve("other")
        health = await http.get("/health", headers={"Authorization": ""})
        reply = await client.chat.completions.create(model="other", messages=QUESTION)
        also = await client.chat.completions.create(model="default", messages=QUESTION)
    assert [model.id for model in models] == ["specreason", "other"]
    assert one == models[1]
    assert (models[0].model_extra or {})["max_model_len"] == 2048
    assert (models[0].model_extra or {})["specreason"] == {"base": "scripted-base", "draft": "small"}
    assert (health.status_code, health.json()) == (200, {"status": "ok", "running": 0, "waiting": 0})
    assert (reply.model, also.model) == ("other", "default")


async def test_a_pair_that_is_down_hides_no_other() -> None:
    """Guards chat UIs, which ask for the list before anything else."""
    async with scripted_pair(BASE, DRAFT, template="think") as servers:
        nobody = EndpointConfig(base_url="http://127.0.0.1:9")
        configs = {"default": servers.config, "down": PairConfig(base=nobody, draft=nobody)}
        async with opened(configs, keys=Keys({"tester": SecretStr(KEY)})) as gateway:
            assert [card["id"] for card in await gateway.cards()] == ["specreason"]
            with pytest.raises(EndpointError, match=r"127\.0\.0\.1:9"):
                await gateway.card("down")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("status", status=500), 502, "model_failed"),
        (Fault("close"), 503, "model_unreachable"),
        (Fault("malformed"), 502, "model_failed"),
    ],
)
async def test_a_model_server_s_failure_is_no_fault_of_the_client(fault: Fault, status: int, code: str) -> None:
    async with served() as it, it.http as http:
        it.servers.base.fail(fault, times=None)
        for stream in (False, True):
            reply = await http.post("/v1/chat/completions", json=asking(stream=stream))
            assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text
            assert reply.json()["error"]["type"] == "server_error"


async def test_a_failure_behind_the_first_step_is_told_in_the_stream() -> None:
    async with served(BASE, Script(STEPS)) as it, it.client as client:
        stream = await client.chat.completions.create(
            model="specreason",
            messages=QUESTION,
            stream=True,
            extra_body={"specreason": {"look_ahead": False, "hedge": False}},
        )
        seen = []
        with pytest.raises(Exception, match=r"^the base model failed") as caught:  # noqa: PT012
            async for chunk in stream:
                seen.append(chunk)
                it.servers.base.fail(Fault("status", status=500), times=None)
        assert len(seen) == 1
        assert not isinstance(caught.value, APIStatusError)
        await asyncio.gather(it.servers.base.idle(), it.servers.draft.idle())


async def test_a_refusal_by_the_client_library_is_its_own_error() -> None:
    async with served() as it, it.client as client:
        with pytest.raises(APIStatusError, match="nobody") as caught:
            await client.chat.completions.create(
                model="specreason",
                messages=QUESTION,
                tools=[PRICE],
                tool_choice={"type": "function", "function": {"name": "nobody"}},
            )
    assert (caught.value.status_code, caught.value.param) == (400, "tool_choice")


async def test_the_pair_default_can_not_be_served_under_another_pair_s_name() -> None:
    with pytest.raises(ConfigError, match=r"^served_name: 'other'"):
        async with served(name="other"):
            pass
