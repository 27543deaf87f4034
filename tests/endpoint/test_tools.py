"""What each dialect is sent of tools, calls and choices, and nothing of them where there are none."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from specreason_graph import ConfigError
from specreason_graph.contract.config import EndpointConfig
from specreason_graph.endpoint import connect
from specreason_graph.endpoint.llamacpp_forms import closed
from specreason_graph.endpoint.protocol import Form
from specreason_graph.testing import Script, ScriptedServer

from .contract import collected
from .fakes import llama

TOOL = {"type": "function", "function": {"name": "price", "description": "", "parameters": {"type": "object"}}}
CALL = {"id": "1", "type": "function", "function": {"name": "price", "arguments": "{}"}}
TURN: list[dict[str, Any]] = [
    {"role": "user", "content": "What is milk?"},
    {"role": "assistant", "content": "", "reasoning": "Who knows.", "tool_calls": [CALL]},
    {"role": "tool", "content": "2", "name": "price", "tool_call_id": "1"},
]
PLAIN = {"add_generation_prompt": True, "chat_template_kwargs": {"enable_thinking": False}}
KEEPS_REASONING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


async def test_vllm_is_sent_tools_where_there_are_any() -> None:
    """Guards prompts of old: a request without tools is what it was."""
    async with ScriptedServer(Script(["A."])) as server:
        endpoint = connect("base", server.config)
        await endpoint.render(TURN[:1], {"enable_thinking": False})
        await endpoint.render(TURN, {"enable_thinking": False}, [TOOL])
        await endpoint.aclose()
    plain, told = [record.body for record in server.requests if record.path == "/tokenize"]
    assert plain == {"model": "scripted", "messages": TURN[:1]} | PLAIN
    assert told == {"model": "scripted", "messages": TURN, "tools": [TOOL]} | PLAIN


async def test_replicas_are_sent_tools() -> None:
    async with ScriptedServer(Script(["A."])) as one, ScriptedServer(Script(["A."])) as other:
        endpoint = connect("base", EndpointConfig(base_url=one.url, replicas=(other.url,)))
        await endpoint.render(TURN, {}, [TOOL])
        await endpoint.aclose()
    assert [r.body["tools"] for server in (one, other) for r in server.requests if "messages" in r.body] == [[TOOL]]


async def test_llamacpp_has_a_name_of_its_own_for_reasoning() -> None:
    bodies: list[Any] = []

    async def applied(request: web.Request) -> Any:
        bodies.append(await request.json())
        return {"prompt": "A"}

    async with llama({"/apply-template": applied}) as config:
        endpoint = connect("base", config)
        await endpoint.render(TURN[:1], {"enable_thinking": False})
        await endpoint.render(TURN, {"enable_thinking": False}, [TOOL])
        await endpoint.aclose()
    asks = {"role": "assistant", "content": "", "reasoning_content": "Who knows.", "tool_calls": [CALL]}
    assert bodies == [
        {"messages": TURN[:1]} | PLAIN,
        {"messages": [TURN[0], asks, TURN[2]], "tools": [TOOL]} | PLAIN,
    ]


def test_llamacpp_is_told_that_objects_have_what_is_named() -> None:
    """As vLLM reads a schema; a model would make up the rest. Where names may stand elsewhere, nothing is said."""
    named = {"type": "object", "properties": {"a": {"type": "string"}}}
    closed_ = {**named, "additionalProperties": False}
    schema = {"properties": {"b": named, "c": {"items": named}, "d": {"anyOf": [named]}}, "$defs": {"e": named}}
    assert closed(schema) == {
        "properties": {"b": closed_, "c": {"items": closed_}, "d": {"anyOf": [closed_]}},
        "$defs": {"e": closed_},
        "additionalProperties": False,
    }
    for free in ({"additionalProperties": {"type": "string"}}, {"allOf": [named]}, {"$ref": "#/$defs/e"}):
        assert closed({**named, **free}) == {**named, **free}
    assert "additionalProperties" not in named, "what was given is left as it is"


async def test_a_llamacpp_that_goes_on_with_the_last_reply_is_refused() -> None:
    """By default it takes a last turn of the assistant for the beginning of the one to be written."""

    async def applied(request: web.Request) -> Any:
        return {"prompt": "A"}

    async with llama({"/apply-template": applied}) as config:
        endpoint = connect("base", config)
        with pytest.raises(ConfigError, match="--no-prefill-assistant"):
            await endpoint.render([TURN[0], {"role": "assistant", "content": "So."}], {})
        await endpoint.aclose()


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        (Form(), {}),
        (Form({"type": "object"}), {"json_schema": {"type": "object"}}),
        (Form(choices=["get", "naïve 你"]), {"grammar": 'root ::= "get" | "naïve 你"'}),
        (Form(choices=['a"b\\c\nd\x00']), {"grammar": r'root ::= "a\x22b\x5Cc\x0Ad\x00"'}),
    ],
)
async def test_llamacpp_is_sent_choices_as_a_grammar(form: Form, sent: dict[str, Any]) -> None:
    bodies: list[Any] = []

    async def completion(request: web.Request) -> Any:
        bodies.append(await request.json())
        return [{"content": "", "stop": True, "stop_type": "limit", "tokens_evaluated": 1, "tokens_predicted": 0}]

    async with llama({"/completion": completion}) as config:
        endpoint = connect("base", config)
        await collected(endpoint, [1], form=form)
        await endpoint.aclose()
    assert {field: bodies[0][field] for field in ("json_schema", "grammar") if field in bodies[0]} == sent


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        (Form(), None),
        (Form({"type": "object"}), {"json": {"type": "object"}}),
        (Form(choices=('say "a"', "b\n")), {"choice": ['say "a"', "b\n"]}),
    ],
)
async def test_vllm_is_sent_choices_as_a_list(form: Form, sent: dict[str, Any] | None) -> None:
    async with ScriptedServer(Script(["A."])) as server:
        endpoint = connect("base", server.config)
        await collected(endpoint, [1], form=form)
        await endpoint.aclose()
    assert server.completions[-1].body.get("structured_outputs") == sent


@pytest.mark.real_models
async def test_reasoning_reaches_a_template_of_llamacpp_that_keeps_it() -> None:
    """Guards the name of the field: a template sees nothing of one that the server does not know."""
    import xllamacpp

    from specreason_graph.models.weights import pull

    params = xllamacpp.CommonParams()
    params.model.path = str(pull("cross-tokenizer").draft)
    params.hostnames, params.port, params.verbosity, params.ui = ["127.0.0.1"], 0, -1, False
    params.n_ctx, params.n_parallel, params.chat_template = 512, 1, KEEPS_REASONING
    key = secrets.token_urlsafe()
    params.api_keys = [key]
    server = xllamacpp.Server(params)
    config = EndpointConfig(base_url=server.listening_address, dialect="llamacpp", api_key=SecretStr(key))
    endpoint = connect("draft", config)
    try:
        turn = await endpoint.decode(await endpoint.render([*TURN[:1], {**TURN[1], "content": "2."}, TURN[0]], {}))
    finally:
        await endpoint.aclose()
    assert "<think>Who knows.</think>2.<|im_end|>" in turn
