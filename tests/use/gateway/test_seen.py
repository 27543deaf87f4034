"""What who operates a gateway sees of it, and what its clients do not."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving import Held

from specreason_graph import ConfigError
from specreason_graph.contract.errors import (
    ContextOverflow,
    EndpointBusy,
    EndpointFailed,
    EndpointTimeout,
    EndpointUnreachable,
)
from specreason_graph.testing import Fault
from specreason_graph.use.gateway.log import JsonLines
from specreason_graph.use.gateway.refusal import refusal

from .served import BASE, DRAFT, KEY, asking, served, until

ASKED = "How many legs have 3 cows?"


def lines(caplog: pytest.LogCaptureFixture, event: str = "request") -> list[dict[str, Any]]:
    """What the log has of one kind, as it is written."""
    records = [record for record in caplog.records if record.getMessage() == event]
    return [json.loads(JsonLines().format(record)) for record in records]


@pytest.fixture(autouse=True)
def _all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "specreason_graph")


async def test_a_request_is_one_line_without_its_text_and_without_a_key(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as it, it.http as http:
        for stream in (False, True):
            reply = await http.post(
                "/v1/chat/completions", json=asking(stream=stream, n=2), headers={"X-Request-ID": "mine-1"}
            )
            assert reply.headers["x-request-id"] == "mine-1"
        await http.get("/health")
        await until(lambda: len(lines(caplog)) == 2)
    for line, stream in zip(lines(caplog), (False, True), strict=True):
        assert (line["id"], line["key"], line["pair"], line["outcome"]) == ("mine-1", "tester", "default", "ok")
        assert (line["route"], line["status"], line["stream"], line["samples"]) == (
            *("/v1/chat/completions", 200),
            *(stream, 2),
        )
        assert (line["steps"], line["judged"], line["accepted"]) == (6, 6, 4)
        assert line["acceptance_rate"] == pytest.approx(2 / 3)
        assert line["ended"] == ["finished", "finished"]
        assert line["tokens"].keys() == {"draft", "base", "judge"}
        assert line["tokens"]["base"]["completion_tokens"] > 0
        assert 0 < line["first_piece_seconds"] <= line["seconds"] if stream else line["first_piece_seconds"] is None
        assert line["queued_seconds"] >= 0
    for said in (KEY, ASKED, "12 legs", "cows"):
        assert said not in caplog.text + json.dumps(lines(caplog))


@pytest.mark.parametrize(
    ("sent", "given"),
    [("a.B-9_", "a.B-9_"), ('x"y\tz é', "xyz"), ("z" * 500, "z" * 64), ("¿?", None), (None, None)],
)
async def test_an_id_is_taken_in_bounds_and_made_where_there_is_none(sent: str | None, given: str | None) -> None:
    async with served() as it, it.http as http:
        headers = {} if sent is None else {"X-Request-ID": sent.encode()}
        got = (await http.get("/v1/models", headers=headers)).headers["x-request-id"]  # type: ignore[arg-type]
        assert got == given or (given is None and len(got) == 32)
        assert "x-request-id" in (await http.get("/v1/models", headers={"Authorization": ""})).headers


async def test_each_way_to_end_has_its_outcome(caplog: pytest.LogCaptureFixture) -> None:
    base = Held(BASE)
    async with served(base, DRAFT, at_once=1, waiting=0) as it, it.http as http:
        await http.post("/v1/chat/completions", json=asking(), headers={"Authorization": "Bearer no"})
        await http.post("/v1/chat/completions", json=asking(model="nobody"))
        await http.get("/who/knows what")
        running = asyncio.create_task(http.post("/v1/chat/completions", json=asking()))
        await until(lambda: it.gateway.jobs.running)
        await http.post("/v1/chat/completions", json=asking())
        base.let_go()
        await running
        base.free = len(base.completions)
        leaving = asyncio.create_task(http.post("/v1/chat/completions", json=asking()))
        await until(lambda: it.gateway.jobs.running)
        leaving.cancel()
        await until(lambda: len(lines(caplog)) == 6)
        running = asyncio.create_task(http.post("/v1/chat/completions", json=asking()))
        await until(lambda: it.gateway.jobs.running)
        await it.gateway.jobs.stop()
        await running
        counted = (await http.get("/metrics")).text
    found = [(line["outcome"], line["code"], line["key"]) for line in lines(caplog)]
    assert found == [
        ("refused", "invalid_api_key", None),
        ("refused", "model_not_found", "tester"),
        ("refused", None, "tester"),
        ("busy", "overloaded", "tester"),
        ("ok", None, "tester"),
        ("left", None, "tester"),
        ("stopping", "stopping", "tester"),
    ]
    assert "who" not in json.dumps(lines(caplog))
    assert 'specreason_requests_total{outcome="refused"} 3.0' in counted
    assert 'specreason_requests_total{outcome="left"} 1.0' in counted


async def test_no_header_hides_a_request_from_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Guards operators: what browsers send before a request is no line of its own, and only there."""
    hidden = {"Access-Control-Request-Method": "POST", "Origin": "https://chat.example"}
    async with served(origins=["https://chat.example"]) as it, it.http as http:
        assert (await http.options("/v1/chat/completions", headers=hidden)).status_code == 200
        assert (await http.post("/v1/chat/completions", json=asking(), headers=hidden)).status_code == 200
        await until(lambda: lines(caplog))
        counted = (await http.get("/metrics")).text
    assert [line["outcome"] for line in lines(caplog)] == ["ok"]
    assert 'specreason_requests_total{outcome="ok"} 1.0' in counted


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("role", ["base", "draft"])
async def test_a_server_s_failure_is_told_by_its_role_and_the_rest_is_in_the_log(
    role: str, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Guards addresses, paths and whatever a server says of itself."""
    async with served() as it, it.http as http:
        server = it.servers.base if role == "base" else it.servers.draft
        server.fail(Fault("status", status=500, message="CUDA error at secret-host-17, /srv/models"), times=None)
        other = it.servers.draft if role == "base" else it.servers.base
        other.fail(Fault("status", status=500, message="CUDA error at secret-host-17, /srv/models"), times=None)
        reply = await http.post(
            "/v1/chat/completions",
            json=asking(
                stream=stream,
                specreason={"first_steps": 1 if role == "base" else 0, "hedge": False, "degrade": False},
            ),
            headers={"X-Request-ID": "mine"},
        )
        metrics = (await http.get("/metrics")).text
        addresses = [server.url, other.url]
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "model_failed")
    assert reply.json()["error"]["message"] == f"the {role} model failed (request mine)"
    [failure] = lines(caplog, "upstream_failure")
    assert (failure["id"], failure["role"], failure["level"]) == ("mine", role, "error")
    assert "secret-host-17" in failure["message"]
    assert any(address in failure["message"] for address in addresses)
    assert [line["outcome"] for line in lines(caplog)][:1] == ["failed"]
    assert lines(caplog)[0]["faults"][role] >= 1
    assert f'specreason_upstream_faults_total{{role="{role}"}} 0.0' not in metrics


async def test_a_fault_that_was_made_good_is_seen_by_the_operator_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with served() as it, it.http as http:
        it.servers.draft.fail(Fault("status", status=503, message="secret-host-17"), times=2)
        reply = await http.post("/v1/chat/completions", json=asking(), headers={"X-Request-ID": "mine"})
        assert (reply.status_code, "secret-host" in reply.text) == (200, False)
        await until(lambda: lines(caplog))
        metrics = (await http.get("/metrics")).text
    faults = lines(caplog, "upstream_fault")
    assert [(it["id"], it["role"], it["error"], it["level"]) for it in faults] == [
        ("mine", "draft", "EndpointBusy", "warning")
    ] * 2
    [line] = lines(caplog)
    assert (line["outcome"], line["faults"]) == ("ok", {"draft": 2})
    assert 'specreason_upstream_faults_total{role="draft"} 2.0' in metrics


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (EndpointFailed("draft endpoint http://h:1/x answered 500: /srv", 500), 502, "the draft model failed"),
        (EndpointBusy("draft endpoint http://h:1 answered 429: x", 429), 503, "the draft model is busy"),
        (EndpointUnreachable("base endpoint http://h:1 can't; base endpoint http://g:2"), 503, "the base model can't"),
        (EndpointTimeout("something new"), 504, "the model took too long"),
        (ContextOverflow("base endpoint http://h:1 answered 400: 9 > 8"), 400, "more than the base model's context"),
        (
            ConfigError("draft endpoint http://u:p@h:1/v1: its template does not end"),
            400,
            "draft endpoint: its template",
        ),
        (ConfigError("a serves x, but base endpoint https://h serves y"), 400, "base endpoint serves y"),
        (RuntimeError("http://h"), 500, "internal error"),
    ],
)
def test_no_refusal_has_an_address_or_a_server_s_words(error: Exception, status: int, says: str) -> None:
    told = refusal(error, "mine")
    assert told.status == status
    assert says in str(told)
    for inner in ("http", "h:1", "/srv", "8", "u:p"):
        assert inner not in str(told)


async def test_metrics_are_prometheus_own_and_need_a_key_unless_they_are_opened() -> None:
    async with served() as it, it.http as http:
        await http.post("/v1/chat/completions", json=asking(stream=True))
        assert (await http.get("/metrics", headers={"Authorization": ""})).status_code == 401
        reply = await http.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(reply.text)}
    assert all(name.startswith("specreason_") for name in families)
    values = {(sample.name, *sample.labels.values()): sample.value for it in families.values() for sample in it.samples}
    assert values["specreason_requests_total", "ok"] == 1
    assert values["specreason_requests_total", "failed"] == 0
    assert (values["specreason_steps_judged_total",], values["specreason_steps_accepted_total",]) == (3, 2)
    assert values["specreason_request_seconds_count",] == values["specreason_first_piece_seconds_count",] == 1
    assert values["specreason_tokens_total", "completion", "base"] > 0
    assert (values["specreason_runs_running",], values["specreason_runs_waiting",]) == (0, 0)
    async with served(open_metrics=True) as it, it.http as http:
        assert (await http.get("/metrics", headers={"Authorization": ""})).status_code == 200


async def test_a_gateway_without_its_draft_answers_by_base_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A draft that is gone takes speed, and no answer; the log says so, and the client's metadata."""
    async with served() as it, it.http as http:
        it.servers.draft.fail(Fault("close"), path=None, times=None)
        reply = await http.post("/v1/chat/completions", json=asking())
        metrics = (await http.get("/metrics")).text
    assert reply.status_code == 200
    assert reply.json()["choices"][0]["specreason"]["without_draft"] >= 1
    assert 'specreason_upstream_faults_total{role="draft"}' in metrics
    assert 'specreason_steps_total{gate="base",source="base"}' in metrics
    [line] = lines(caplog, "request")
    assert (line["outcome"], line["judged"]) == ("ok", 0)


async def test_the_dashboard_and_the_page_name_metrics_that_are_there() -> None:
    docs = Path(__file__).parents[3] / "docs"
    async with served() as it, it.http as http:
        await http.post("/v1/chat/completions", json=asking())
        there = (await http.get("/metrics")).text
    names = set(re.findall(r"specreason_\w+", there))
    named = [expression["expr"] for panel in dashboard(docs) for expression in panel["targets"]]
    page = (docs / "operations.md").read_text()
    for name in re.findall(r"specreason_\w+", " ".join(named)) + re.findall(r"`(specreason_\w+?)[{`]", page):
        assert name in names, name


def dashboard(docs: Path) -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads((docs / "grafana.json").read_text())["panels"]
    return panels


async def test_a_request_s_line_in_the_docs_has_the_fields_of_a_real_one(caplog: pytest.LogCaptureFixture) -> None:
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    [shown] = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    async with served() as it, it.http as http:
        await http.post("/v1/chat/completions", json=asking())
        await until(lambda: lines(caplog))
    [line] = lines(caplog)
    assert line.keys() == json.loads(shown).keys()
