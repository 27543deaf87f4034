"""What Prometheus scrapes at `/metrics`; every name begins with `specreason_`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from specreason_graph.use.gateway.account import OUTCOMES, Account, Outcome
from specreason_graph.use.gateway.jobs import Jobs

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)


class Metrics:
    """Of one gateway, in a registry of its own."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    def __init__(self, jobs: Jobs) -> None:
        registry = self._registry = CollectorRegistry()
        running = Gauge("specreason_runs_running", "Runs that go on", registry=registry)
        running.set_function(lambda: jobs.running)
        waiting = Gauge("specreason_runs_waiting", "Runs that wait for their turn", registry=registry)
        waiting.set_function(lambda: jobs.waiting)
        self._requests = Counter("specreason_requests", "Requests by outcome", ["outcome"], registry=registry)
        for outcome in OUTCOMES:
            self._requests.labels(outcome)
        self._seconds = Histogram(
            "specreason_request_seconds",
            "Seconds from a request's head to the end of its reply, of those answered",
            buckets=_SECONDS,
            registry=registry,
        )
        self._first = Histogram(
            "specreason_first_piece_seconds",
            "Seconds until a stream had something to tell: a kept step, or the answer's first piece (as TTFT)",
            buckets=_SECONDS,
            registry=registry,
        )
        self._queued = Histogram(
            "specreason_queue_seconds", "Seconds that requests waited for a place", buckets=_SECONDS, registry=registry
        )
        self._tokens = Counter(
            "specreason_tokens",
            "Tokens by role and kind: prompt (cached among them), cached, completion (discarded among them), discarded",
            ["role", "kind"],
            registry=registry,
        )
        self._judged = Counter("specreason_steps_judged", "Drafted steps that were judged", registry=registry)
        self._accepted = Counter("specreason_steps_accepted", "Drafted steps that were accepted", registry=registry)
        self._steps = Counter(
            "specreason_steps", "Kept steps by who wrote them, and the gate's level then", ["source", "gate"],
            registry=registry,
        )  # fmt: skip
        self._faults = Counter(
            "specreason_upstream_faults", "Tries of requests to a model server that failed", ["role"], registry=registry
        )
        for role in ("base", "draft"):
            self._faults.labels(role)

    def count(self, account: Account, outcome: Outcome) -> None:
        """Add a request that has ended."""
        self._requests.labels(outcome).inc()
        if account.samples and outcome == "ok":
            self._seconds.observe(account.seconds)
        for histogram, seconds in ((self._first, account.first), (self._queued, account.waited)):
            if seconds is not None:
                histogram.observe(seconds)
        for role, counts in account.tokens.items():
            for name, tokens in counts.items():
                self._tokens.labels(role, name.removesuffix("_tokens")).inc(tokens)
        accepted, judged = account.judged
        self._accepted.inc(accepted)
        self._judged.inc(judged)
        for step in account.steps:
            self._steps.labels(step["source"], step["gate"]["level"]).inc()
        for role in account.faults:
            self._faults.labels(role).inc()

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        return generate_latest(self._registry)
