"""What is noted of one request while it goes on: for the log, the metrics and the trace. Never a text, never a key."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

from langchain_core.messages import AIMessage

from specreason_graph.contract.errors import EndpointError
from specreason_graph.contract.state import Step, UsageByRole
from specreason_graph.loop.report import acceptance
from specreason_graph.use.gateway.refusal import Refusal, refusal
from specreason_graph.use.gateway.spans import RequestSpan

Outcome = Literal["ok", "refused", "busy", "stopping", "failed", "left", "error"]
"""`refused`: the request can't be served (4xx). `failed`: a model server. `left`: the client. `error`: nobody foresaw
it."""
OUTCOMES: tuple[Outcome, ...] = ("ok", "refused", "busy", "stopping", "failed", "left", "error")
_BY_CODE: dict[str | None, Outcome] = {"overloaded": "busy", "stopping": "stopping", "internal_error": "error"}
_COUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens", "discarded_tokens")
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_ID = 64

logger = logging.getLogger("specreason_graph.gateway")


@dataclass(slots=True)
class Account:
    """One request's."""

    id: str
    """What its client sent as `X-Request-ID`, of letters, digits, `.`, `_` and `-`, or else made here."""
    method: str
    span: RequestSpan
    key: str | None = None
    """Name of the key."""
    pair: str | None = None
    streamed: bool = False
    samples: int = 0
    begun: float = field(default_factory=time.monotonic)
    waited: float | None = None
    """Seconds until the first of its runs had its place."""
    first: float | None = None
    """Seconds until a stream could tell something of a reply."""
    steps: list[Step] = field(default_factory=list)
    """Kept ones, of all samples; those of runs that failed among them."""
    usage: list[UsageByRole] = field(default_factory=list)
    """Of each sample that was answered."""
    ended: list[str] = field(default_factory=list)
    """Why the reasoning of each ended."""
    faults: list[str] = field(default_factory=list)
    """Roles of the model servers, one a try that failed; most are made good."""
    failed: bool = False
    """Whether such a failure ended it."""
    status: int | None = None
    code: str | None = None
    seconds: float = 0.0

    def placed(self) -> None:
        """One of its runs begins."""
        if self.waited is None:
            self.waited = time.monotonic() - self.begun

    def step(self, step: Step) -> None:
        """A step was kept."""
        self.steps.append(step)
        self.span.step(step)

    def piece(self) -> None:
        """A stream can tell something."""
        if self.first is None:
            self.first = time.monotonic() - self.begun

    def reply(self, message: AIMessage) -> None:
        """A sample was answered; `message` is the whole reply, or a stream's last piece."""
        figures = message.response_metadata.get("specreason", {})
        if figures:
            self.usage.append(figures["usage"])
            self.ended.append(figures["ended"])

    def fault(self, error: EndpointError) -> None:
        """A try failed, which need not be the end of the request."""
        self.faults.append(error.role or "unknown")
        self._upstream(logging.WARNING, "upstream_fault", error)

    def refused(self, error: Exception) -> Refusal:
        """What the client is told of an error; of a server's failure, the log is told the rest."""
        told = refusal(error, self.id)
        self.code = told.code
        if isinstance(error, EndpointError) and told.status >= 500:
            self.failed = True
            if (role := error.role or "unknown") not in self.faults:  # of an answer that could not be read
                self.faults.append(role)
            self._upstream(logging.ERROR, "upstream_failure", error)
        return told

    def _upstream(self, level: int, event: str, error: EndpointError) -> None:
        what = {"role": error.role, "error": type(error).__name__, "message": str(error)}
        logger.log(level, event, extra={"fields": {"id": self.id, "pair": self.pair, **what}})

    def outcome(self, *, left: bool) -> Outcome:
        """How it ended; `left`: the client did not wait for that."""
        if left:
            return "left"
        if self.code in _BY_CODE:
            return _BY_CODE[self.code]
        if self.failed:
            return "failed"
        if self.status is None or self.status >= 500:
            return "error"
        return "refused" if self.code is not None or self.status >= 400 else "ok"

    @property
    def judged(self) -> tuple[int, int]:
        """How many drafted steps were accepted, of how many that were judged."""
        return acceptance(self.steps)

    @property
    def tokens(self) -> dict[str, Counter[str]]:
        """By role: `prompt_tokens`, `cached_tokens`, `completion_tokens`, `discarded_tokens`, as the servers tell."""
        found: dict[str, Counter[str]] = {}
        for usage in self.usage:
            for role, cost in usage.items():
                counts = found.setdefault(role, Counter())
                counts.update({name: cost.get(name) or 0 for name in _COUNTS})
        return found

    def close(self, *, route: str | None, left: bool) -> Outcome:
        """Write the request's one line; `route` is one of ours, since any other path is a client's own text."""
        self.seconds = time.monotonic() - self.begun
        outcome = self.outcome(left=left)
        accepted, judged = self.judged
        fields: dict[str, Any] = {
            "id": self.id,
            "key": self.key,
            "method": self.method,
            "route": route,
            "status": self.status,
            "outcome": outcome,
            "code": None if left else self.code,
            "pair": self.pair,
            "stream": self.streamed,
            "samples": self.samples,
            "tokens": {role: dict(counts) for role, counts in self.tokens.items()},
            "steps": len(self.steps),
            "judged": judged,
            "accepted": accepted,
            "acceptance_rate": accepted / judged if judged else None,
            "ended": self.ended,
            "faults": dict(Counter(self.faults)),
            "seconds": round(self.seconds, 4),
            "first_piece_seconds": _rounded(self.first),
            "queued_seconds": _rounded(self.waited),
        }
        logger.info("request", extra={"fields": fields})
        self.span.end(outcome, fields)
        return outcome


def request_id(sent: str) -> str:
    """What a client calls its request, without what has no place in a log; else an id of our own."""
    return _NOT_IN_IDS.sub("", sent)[:_LONGEST_ID] or uuid4().hex


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
