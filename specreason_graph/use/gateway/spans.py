"""A request as an OpenTelemetry span with an event a kept step; nothing where its API is not installed (extra `otel`).

Where spans go is the process's own matter: `opentelemetry-instrument specreason serve …` sets an exporter up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from specreason_graph.contract.state import Step

try:
    from opentelemetry import propagate, trace
except ImportError:
    trace = None  # type: ignore[assignment]

_OF_A_STEP = ("index", "source", "accepted", "reject_reason", "score", "tokens", "gate", "gate_why")
_OF_A_REQUEST = ("id", "key", "route", "status", "outcome", "code", "pair", "samples", "steps", "judged", "accepted")
_FAILED = ("failed", "error")


class RequestSpan:
    """The span of one request; of no text and no key."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def step(self, step: Step) -> None:
        """An event."""
        if self._span is not None:
            gate = {"gate": step["gate"]["level"], "gate_why": step["gate"]["why"]}
            self._span.add_event("step", _attributes({**step, **gate}, _OF_A_STEP))

    def end(self, outcome: str, fields: Mapping[str, Any]) -> None:
        """What came of it; the span itself ends with its block."""
        if self._span is None:
            return
        self._span.set_attributes(_attributes(fields, _OF_A_REQUEST))
        for role, counts in fields["tokens"].items():
            for name, count in counts.items():
                self._span.set_attribute(f"specreason.{role}.{name}", count)
        if outcome in _FAILED:
            self._span.set_status(trace.Status(trace.StatusCode.ERROR))


@contextmanager
def request_span(name: str, headers: Mapping[str, str]) -> Iterator[RequestSpan]:
    """The span around a request, below the one that its `traceparent` names.

    Args:
        name: of the span, such as `POST /v1/chat/completions`; no client's own words.
        headers: the request's, by lower-case name.
    """
    if trace is None:
        yield RequestSpan()
        return
    tracer = trace.get_tracer("specreason_graph")
    parent = propagate.extract(headers)
    with tracer.start_as_current_span(
        name,
        parent,
        kind=trace.SpanKind.SERVER,
        record_exception=False,  # its message may be a user's text
        set_status_on_exception=False,
    ) as span:
        yield RequestSpan(span if span.is_recording() else None)


def _attributes(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Those that are known, under our name; a span takes no None."""
    return {f"specreason.{name}": values[name] for name in names if values.get(name) is not None}
