"""A request as a span of OpenTelemetry's."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from specreason_graph.testing import Fault

from .served import asking, served, until


async def test_a_request_is_a_span_with_an_event_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", lambda name: provider.get_tracer(name))
    async with served() as it, it.http as http:
        parent = f"00-{'a' * 32}-{'b' * 16}-01"
        await http.post("/v1/chat/completions", json=asking(), headers={"traceparent": parent})
        it.servers.base.fail(Fault("status", status=500), times=None)
        await http.post("/v1/chat/completions", json=asking())
        await until(lambda: len(exporter.get_finished_spans()) == 2)
    good, bad = exporter.get_finished_spans()
    assert good.context is not None
    assert good.context.trace_id == int("a" * 32, 16)
    assert [event.name for event in good.events] == ["step"] * 3
    assert [(event.attributes or {})["specreason.accepted"] for event in good.events] == [True, False, True]
    attributes = good.attributes or {}
    assert (attributes["specreason.key"], attributes["specreason.outcome"]) == ("tester", "ok")
    assert attributes["specreason.base.completion_tokens"]
    assert (good.status.is_ok, bad.status.is_ok) == (True, False)
    assert "cows" not in good.to_json() + bad.to_json()
