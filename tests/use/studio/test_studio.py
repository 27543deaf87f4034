"""LangGraph's real development server, driven with its real SDK as Studio drives it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from specreason_graph import Settings, edited
from specreason_graph.testing import Fault, Script, ScriptedPair, scripted_pair

ROOT = Path(__file__).parents[3]
RIGHT = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", "So 12."]
BASE = Script(RIGHT, answer="12", scores=[9, 7, 9])
PAGES = ("https://smith.langchain.com",)
QUESTION: Any = {"messages": [{"role": "user", "content": "How many legs have 3 cows?"}]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def dev_server(folder: Path, environment: dict[str, str]) -> AsyncIterator[str]:
    """`make studio` without make."""
    port = free_port()
    log = folder / "log"
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).with_name("langgraph")), "dev", "--config", str(ROOT / "langgraph.json")),
            *("--no-browser", "--no-reload", "--port", str(port)),
            cwd=folder,
            env={**os.environ, **environment, "LANGSMITH_TRACING": "false", "LANGGRAPH_CLI_NO_ANALYTICS": "1"},
            stdout=out,
            stderr=out,
        )
    try:
        async with aiohttp.ClientSession() as session:
            while True:
                assert process.returncode is None, log.read_text()
                with suppress(aiohttp.ClientError):
                    async with session.get(f"http://127.0.0.1:{port}/ok") as answer:
                        if answer.status == 200:
                            break
                await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@asynccontextmanager
async def studio(folder: Path) -> AsyncIterator[tuple[LangGraphClient, ScriptedPair]]:
    async with scripted_pair(BASE, Script(WRONG), template="think") as servers:
        environment = {
            "SPECREASON_BASE_URL": servers.config.base.base_url,
            "SPECREASON_DRAFT_URL": servers.config.draft.base_url,
            "SPECREASON_PRESET": "thinking",
        }
        async with dev_server(folder, environment) as url, get_client(url=url) as client:
            yield client, servers


def kept(state: Any) -> list[Any]:
    return list(state["values"].get("specreason_steps", ()))


async def answered(client: LangGraphClient, thread: str, **given: Any) -> list[str]:
    """A run on a thread to its end or interrupt; the texts that it kept."""
    values: Any = await client.runs.wait(thread, "specreason", **given)
    assert "__error__" not in values, values
    return [step["text"].strip() for step in values["specreason_steps"]]


async def test_it_is_described_drawn_and_has_a_form_for_every_setting(tmp_path: Path) -> None:
    async with studio(tmp_path) as (client, _):
        [assistant] = await client.assistants.search()
        assert assistant["graph_id"] == "specreason"
        schemas = await client.assistants.get_schemas(assistant["assistant_id"])
        for form in (schemas["context_schema"], schemas["config_schema"]):
            assert form is not None
            assert form["properties"].keys() == Settings.model_fields.keys()
            for name, field in form["properties"].items():
                assert field["description"]
                assert "default" in field or name in form.get("required", ()), name
            assert form["properties"]["max_steps"]["maximum"] == 5000
            assert form["properties"]["threshold"]["anyOf"][0] == {"maximum": 9, "minimum": -30, "type": "number"}
            assert form["properties"]["threshold"]["langgraph_nodes"] == ["judge"]
            assert form["properties"]["score_method"]["anyOf"][0]["enum"] == ["greedy", "mean", "median"]
        assert schemas["input_schema"]["properties"].keys() == {"messages"}  # type: ignore[index]
        assert "specreason_steps" in json.dumps(schemas["state_schema"])
        drawn = await client.assistants.get_graph(assistant["assistant_id"], xray=True)
        nodes = {node["id"] for node in drawn["nodes"]}
        assert nodes == {"__start__", "draft_step", "judge", "regenerate", "finalize", "__end__"}
        labels = {(e["source"], e["data"], e["target"]) for e in drawn["edges"] if e.get("conditional")}
        assert {
            ("judge", "accept", "draft_step"),
            ("judge", "reject", "regenerate"),
            ("judge", "unsure", "judge"),
            ("judge", "over", "finalize"),
        } < labels
        strict: Any = await client.assistants.create("specreason", context={"threshold": 8}, name="strict")
        assert strict["context"] == {"threshold": 8}


async def test_a_run_streams_and_every_step_of_it_can_be_looked_at(tmp_path: Path) -> None:
    async with studio(tmp_path) as (client, _):
        thread = (await client.threads.create())["thread_id"]
        seen: dict[str, list[Any]] = {}
        modes: Any = ["updates", "custom", "messages-tuple", "values"]
        async for part in client.runs.stream(thread, "specreason", input=QUESTION, stream_mode=modes):
            seen.setdefault(part.event, []).append(part.data)
        assert "error" not in seen
        assert [event["event"] for event in seen["custom"]].count("step_accepted") == 3
        updates = {name: update for part in seen["updates"] for name, update in part.items()}
        assert updates.keys() == {"draft_step", "judge", "finalize"}
        assert all(updates.values()), "none may be empty: Studio shows what a node changed"
        assert seen["values"][-1]["specreason_answer"] == "12"
        assert "".join(message["content"] for message, _ in seen["messages"]) == "12"
        history = await client.threads.get_history(thread, limit=50)
        assert [state["next"] for state in history][:2] == [[], ["finalize"]]
        assert len(history) == 9


async def test_a_wrongly_accepted_step_is_forked_away(tmp_path: Path) -> None:
    """The debugging session of docs/studio.md: another threshold before the step, or another text in its place."""
    async with studio(tmp_path) as (client, _):
        thread = (await client.threads.create())["thread_id"]
        assert await answered(client, thread, input=QUESTION) == WRONG
        history = await client.threads.get_history(thread, limit=50)
        before = next(state for state in history if len(kept(state)) == 1)
        again: Any = {"checkpoint": before["checkpoint"], "input": None}
        assert await answered(client, thread, **again, context={"threshold": 8}) == RIGHT

        whole = next(state for state in history if state["next"] == ["finalize"])
        fork = await client.threads.update_state(
            thread, edited(1, "3 cows have 12 legs."), as_node="judge", checkpoint=whole["checkpoint"]
        )
        texts = await answered(client, thread, checkpoint=fork["checkpoint"], input=None)
        assert texts == [RIGHT[0], "3 cows have 12 legs.", RIGHT[2]]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"decision": "accept"}, WRONG[1]),
        ({"decision": "reject"}, RIGHT[1]),
        ({"decision": "edit", "text": "3 cows have 12 legs."}, "3 cows have 12 legs."),
    ],
)
async def test_a_person_is_asked_and_the_run_goes_on(answer: dict[str, str], text: str, tmp_path: Path) -> None:
    async with studio(tmp_path) as (client, servers):
        thread = (await client.threads.create())["thread_id"]
        asking: Any = {"context": {"ask_band": [6, 8]}}
        assert await answered(client, thread, input=QUESTION, **asking) == RIGHT[:1]
        state = await client.threads.get_state(thread)
        assert state["next"] == ["judge"]
        [interrupt] = state["tasks"][0]["interrupts"]
        assert interrupt["value"]["text"].strip() == WRONG[1]
        assert interrupt["response_schema"]["properties"]["decision"]["enum"] == ["accept", "reject", "edit"]
        assert await answered(client, thread, command={"resume": answer}, **asking) == [RIGHT[0], text, RIGHT[2]]
        assert sum(request.body["max_tokens"] == 1 for request in servers.base.completions) == 3


async def refused(client: LangGraphClient, assistant: str = "specreason", **given: Any) -> dict[str, str]:
    """What a client is told of a run that fails."""
    thread = (await client.threads.create())["thread_id"]
    values: Any = await client.runs.wait(thread, assistant, input=QUESTION, raise_error=False, **given)
    told: dict[str, str] = values["__error__"]
    return told


async def test_what_is_wrong_is_told_to_the_client(tmp_path: Path) -> None:
    """A misspelt setting of a run or an assistant, one that can't be, a limit, and a server that is down."""
    async with studio(tmp_path) as (client, servers):
        misspelt: Any = {"treshold": 2, "judge": "paper"}
        assistant = (await client.assistants.create("specreason", context=misspelt))["assistant_id"]
        for told in (await refused(client, context=misspelt), await refused(client, assistant)):
            assert told["error"] == "ConfigError"
            assert told["message"].startswith("treshold: ")
        told = await refused(client, context={"judge": "nobody"})
        assert told["message"].startswith("judge: there is no 'nobody'")
        told = await refused(client, config={"recursion_limit": 3})
        assert told["error"] == "GraphRecursionError"
        servers.base.fail(Fault("status", status=500), times=None)
        told = await refused(client)
        assert told["error"] == "EndpointFailed"
        assert "answered 500" in told["message"]


async def test_the_debugging_session_of_the_docs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "studio.md").read_text(), flags=re.DOTALL)
    page: dict[str, Any] = {}
    exec("\n".join(blocks), page)
    async with studio(tmp_path) as (client, _):
        runs = await page["debug"](client, "How many legs have 3 cows?")
    texts = {name: [step["text"].strip() for step in run["specreason_steps"]] for name, run in runs.items()}
    assert texts == {"wrong": WRONG, "fixed": RIGHT, "edited": [RIGHT[0], "3 cows have 12 legs.", RIGHT[2]]}


async def test_of_all_pages_in_a_browser_only_langsmith_s_may_use_it(tmp_path: Path) -> None:
    """Guards developers: the server asks for no key, and any page that they look at could run models and read threads.

    A post of plain text is one that browsers send without asking first.
    """
    evil, plain = "https://evil.example", {"content-type": "text/plain"}
    async with studio(tmp_path) as (client, servers), aiohttp.ClientSession() as http:
        url = str(client.http.client.base_url).rstrip("/")

        async def seen(method: str, path: str, **headers: str) -> tuple[int, str | None]:
            async with http.request(method, url + path, headers=headers, data=b"{}") as answer:
                return answer.status, answer.headers.get("access-control-allow-origin")

        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        for origin in (evil, "null", "http://evil.example:2024", f"{PAGES[0]}.evil.example"):
            assert await seen("OPTIONS", "/threads/search", Origin=origin, **asks) == (403, None)
            assert await seen("POST", "/threads/search", Origin=origin, **plain) == (403, None)
            assert await seen("GET", "/ok", Origin=origin) == (403, None)
        for path in ("/threads/search", "/assistants/search"):
            assert await seen("OPTIONS", path, Origin=PAGES[0], **asks) == (200, PAGES[0])
            assert await seen("POST", path, Origin=PAGES[0], **plain) == (200, PAGES[0])
        assert (await seen("POST", "/threads/search", Origin=url))[0] == 200
        assert not servers.base.completions
    allowed = json.loads((ROOT / "langgraph.json").read_text())["http"]["cors"]["allow_origins"]
    assert tuple(allowed) == PAGES


async def test_without_any_models_the_server_says_why_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="set both SPECREASON_BASE_URL and SPECREASON_DRAFT_URL"):
        async with dev_server(tmp_path, {"SPECREASON_BASE_URL": "http://127.0.0.1:1"}):
            pass
