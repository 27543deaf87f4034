"""What the gateway refuses, and how: with the reason, in the shape that OpenAI's clients read, and before any model is
asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from .served import KEY, QUESTION, Served, asking, served

pytestmark = pytest.mark.asyncio(loop_scope="module")


def named(name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """A tool."""
    function = {"name": name, "parameters": parameters or {"type": "object", "properties": {}}}
    return {"type": "function", "function": function}


def choice(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def calling(*arguments: str) -> dict[str, Any]:
    """An assistant's message with calls, all of one id."""
    calls = [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": it}} for it in arguments]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def old_call() -> dict[str, Any]:
    return {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}


TOOL = named("weather")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def it() -> AsyncIterator[Served]:
    """One gateway for all: none of these requests does anything."""
    async with served() as running:
        yield running


@pytest.mark.parametrize("key", ["", "Bearer", "Bearer wrong", f"Basic {KEY}", KEY])
async def test_nothing_is_served_without_the_key(it: Served, key: str) -> None:
    async with it.http as http:
        headers = {"Authorization": key}
        for reply in (
            await http.get("/v1/models", headers=headers),
            await http.post("/v1/chat/completions", headers=headers, json=asking()),
            await http.post("/v1/chat/completions", headers=headers, json={}),
        ):
            assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")
            assert reply.headers["www-authenticate"] == "Bearer"
        assert not it.servers.base.completions


@pytest.mark.parametrize(
    ("changes", "status", "param", "says"),
    [
        ({"tools": [{"type": "function"}]}, 400, "tools", "tools.0.function: Field required"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, 400, "tools", "should be 'function'"),
        ({"tools": [TOOL, TOOL]}, 400, "tools", "two have one name (weather, weather)"),
        ({"tools": [named("two words")]}, 400, "tools", "a tool's name has letters, digits"),
        ({"tools": [named("f", {"type": "array"})]}, 400, "tools", "f: the parameters of a tool are"),
        ({"tools": [TOOL], "tool_choice": "weather"}, 400, "tool_choice", "take one of auto, none, required, or {"),
        ({"tools": [TOOL], "tool_choice": choice("nobody")}, 400, "tool_choice", "there is no tool 'nobody'"),
        ({"tool_choice": "required"}, 400, "tool_choice", "there are no tools"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
            400,
            "tool_choice",
            "send those tools alone",
        ),
        ({"parallel_tool_calls": "seldom"}, 400, "parallel_tool_calls", "valid boolean"),
        ({"functions": [{"name": "f"}]}, 400, "functions", "send tools and tool_choice"),
        ({"function_call": "auto"}, 400, "function_call", "send tools and tool_choice"),
        ({"reasoning_effort": "extreme"}, 400, "reasoning_effort", "'minimal', 'low', 'medium'"),
        ({"logprobs": True}, 400, "logprobs", "not served here"),
        ({"top_logprobs": 3}, 400, "top_logprobs", "not served here"),
        ({"echo": True}, 400, "echo", "not served here"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]},
            400,
            "messages",
            "serves a model that takes no images; leave the images out",
        ),
        ({"messages": []}, 400, "messages", "at least 1"),
        (
            {"messages": [{"role": "tool", "content": "x"}]},
            400,
            "messages",
            "messages.0: a message of role tool has the",
        ),
        (
            {"messages": [*QUESTION, {"role": "tool", "tool_call_id": "a", "content": "x"}]},
            400,
            "messages",
            "the result at 1 answers a, which no call before it has as id",
        ),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, 400, "messages", "as role tool"),
        ({"messages": [*QUESTION, old_call()]}, 400, "messages", "calls as tool_calls"),
        ({"messages": [*QUESTION, calling("{")]}, 400, "messages", "a JSON object as text, such as"),
        ({"messages": [*QUESTION, calling("[]")]}, 400, "messages", "a JSON object as text, such as"),
        ({"messages": [*QUESTION, calling("{}", "{}")]}, 400, "messages", "two have one id (call_1, call_1)"),
        ({"messages": [{**calling("{}"), "role": "user", "content": "x"}]}, 400, "messages", "made by role assistant"),
        ({"messages": [{"role": "user", "content": None}]}, 400, "messages", "a message of role user has a content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, 400, "messages", "part 0 is a text"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "messages", "there is no question"),
        ({"messages": [*QUESTION, calling("{}")]}, 400, "messages", "call_1 has no result"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, "messages", "the question is empty"),
        ({"model": "gpt-4o"}, 404, "model", "served are default, other, specreason"),
        ({"model": None}, 400, "model", "required"),
        ({"n": 9}, 400, "n", "8"),
        ({"stop": list("abcde")}, 400, "stop", "4"),
        ({"max_tokens": 0}, 400, "max_tokens", "greater than or equal to 1"),
        ({"temperature": 3}, 400, "temperature", "less than or equal to 2"),
        ({"response_format": {"type": "json_schema"}}, 400, "response_format", "json_schema goes with"),
        ({"specreason": {"threshold": 99}}, 400, "threshold", "less than or equal to 9"),
        ({"specreason": {"base_url": "http://evil"}}, 400, None, "base_url: there is no such field"),
        ({"specreason": {"pair": "nobody"}}, 400, "pair", "configured are default, other"),
        ({"specreason": {"ask_band": [4, 6]}}, 400, "ask_band", "can't be resumed"),
        ({"specreason": {"preset": "nobody"}}, 400, "preset", "nobody"),
        ({"specreason": {"answer_budget": 100_000}}, 400, "messages", "leave no room"),
    ],
)
async def test_what_can_not_work_is_refused_in_openai_s_shape(
    it: Served, changes: dict[str, Any], status: int, param: str | None, says: str
) -> None:
    async with it.http as http:
        for stream in (False, True):
            reply = await http.post("/v1/chat/completions", json=asking(**changes, stream=stream))
            assert reply.status_code == status, reply.text
            error = reply.json()["error"]
            assert error.keys() == {"message", "type", "param", "code"}
            assert (error["type"], error["param"]) == ("invalid_request_error", param)
            assert says in error["message"]
        assert not it.servers.base.completions


async def test_a_conversation_that_does_not_fit_has_the_code_that_clients_look_for(it: Served) -> None:
    """Agents shorten their history on it."""
    async with it.http as http:
        long = [{"role": "user", "content": "How many legs? " * 4000}]
        reply = await http.post("/v1/chat/completions", json=asking(messages=long))
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")


async def test_no_json_no_such_path_and_no_such_method_are_refused_in_the_same_shape(it: Served) -> None:
    async with it.http as http:
        for reply, status in [
            (await http.post("/v1/chat/completions", content=b"{"), 400),
            (await http.post("/v1/chat/completions", json=[1]), 400),
            (await http.get("/v1/chat/completions"), 405),
            (await http.post("/v1/completions", json={}), 404),
            (await http.get("/docs"), 404),
        ]:
            assert reply.status_code == status
            assert reply.json()["error"]["message"]
