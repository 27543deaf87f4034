"""Images in OpenAI's shape, through the gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest
from drawings import drawing
from langchain_core.messages import AIMessage, HumanMessage

from specreason_graph.contract.state import SpecReasonState
from specreason_graph.testing import Script, ScriptedServer
from specreason_graph.use.gateway.seen import SeenRuns

from .served import asking, served

SCRIPT = Script(["There is a square."], answer="One square.")
TEXT = {"type": "text", "text": "What is this?"}


def server(role: str) -> ScriptedServer:
    return ScriptedServer(SCRIPT, template="think", sees=True, scale_out=True, model=f"scripted-{role}")


def about(url: str) -> Any:
    return [{"role": "user", "content": [TEXT, {"type": "image_url", "image_url": {"url": url, "detail": "low"}}]}]


async def test_an_image_of_a_streamed_request_is_seen_as_well() -> None:
    """Guards streams: the run's last node has the question's image to put back, too."""
    async with served(server("base"), server("draft")) as it, it.http as http:
        asked = asking(messages=about(drawing("red").url), stream=True)
        answer = await http.post("/v1/chat/completions", json=asked)
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    said = [choice["delta"].get("content") for event in events for choice in json.loads(event).get("choices", ())]
    assert "".join(filter(None, said)) == "One square."


async def test_an_image_of_a_request_is_seen() -> None:
    red = drawing("red")
    base = server("base")
    async with served(base, server("draft")) as it, it.http as http:
        answer = await http.post("/v1/chat/completions", json=asking(messages=about(red.url)))
        asked = [record for record in base.requests if "content_parts" in record.body]
    assert answer.json()["choices"][0]["message"]["content"] == "One square."
    assert asked[-1].body["content_parts"] == [{"type": "image_url", "uuid": red.uuid}]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://example.com/a.png", "image_urls: images are fetched from nowhere"),
        ("http://127.0.0.1:9/admin", "image_urls"),
        ("data:image/png;base64,AA==", "no PNG, JPEG, WebP or GIF"),
    ],
)
async def test_what_can_not_be_shown_is_the_requests_fault(url: str, says: str) -> None:
    async with served(server("base"), server("draft")) as it, it.http as http:
        answer = await http.post("/v1/chat/completions", json=asking(messages=about(url)))
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


RED: Any = {"type": "image", "base64": drawing("red").base64}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("block", "status"),
    [
        (RED, 200),
        ({"type": "image", "source_type": "base64", "data": RED["base64"]}, 200),
        ({**RED, "text": "a square"}, 200),
        ({"type": "image", "base64": 5}, 400),
        ({"type": "image", "text": "a square"}, 400),
    ],
)
async def test_an_image_that_does_not_say_its_type_is_no_error_of_ours(block: Any, status: int, stream: bool) -> None:
    """Guards clients: LangChain shows tracers each image in OpenAI's shape, and raises where it can't."""
    async with served(server("base"), server("draft")) as it, it.http as http:
        messages = [{"role": "user", "content": [TEXT, block]}]
        answer = await http.post("/v1/chat/completions", json=asking(messages=messages, stream=stream))
    assert answer.status_code == status, answer.text


async def test_a_run_that_is_seen_keeps_no_image_when_it_is_over() -> None:
    """Guards memory: `/runs` shows many, and their questions may be of megabytes."""
    red = drawing("red")
    runs = SeenRuns(3)
    run = runs.begin("key", "default")
    question = HumanMessage([TEXT, {"type": "image", "base64": red.base64}])
    run.told(SpecReasonState(messages=[question, AIMessage("One square.")]))
    assert red.base64 in repr(run)
    run.ended(answered=True)
    assert red.base64 not in repr(run)
    assert run.so_far()["question"] == run.report()["question"] == TEXT["text"]


PARTS: Any = [
    {"type": "image", "source_type": "url"},
    {"type": "image", "source_type": "base64"},
    {"type": "file", "source_type": "id"},
    {"type": "file", "source_type": "text", "text": "x"},
    {"image_url": {"url": drawing("red").url}},
    drawing("red").url,
    {"image": {"format": "png", "source": {"bytes": RED["base64"]}}},
    {"type": RED["base64"], "x": 1},
    {RED["base64"]: 1},
    {"type": 5, RED["base64"]: 1},
    {"type": "image", "data": RED["base64"]},
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("part", PARTS)
async def test_a_part_that_is_odd_is_the_requests_fault_and_is_not_quoted(part: Any, stream: bool) -> None:
    async with served(server("base"), server("draft")) as it, it.http as http:
        for role in ("user", "system"):
            messages = [{"role": role, "content": [TEXT, part]}, {"role": "user", "content": "x"}]
            asked = asking(messages=messages[: 1 if role == "user" else 2], stream=stream)
            answer = await http.post("/v1/chat/completions", json=asked)
            if role == "user" or answer.status_code != 200:
                assert answer.status_code == 400, answer.text
                assert answer.json()["error"]["message"].startswith("messages")
            assert RED["base64"][:8] not in answer.text
