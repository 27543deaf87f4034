"""The gateway's log: one JSON object a line, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

request: ContextVar[str | None] = ContextVar("specreason_request", default=None)
"""Id of the request that a line is about."""
_LOGGERS = ("specreason_graph", "uvicorn.error", "asyncio")


class JsonLines(logging.Formatter):
    """A record as JSON: `time`, `level`, `event`, its request's `id`, and the fields it was logged with."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage().strip(),
            "id": request.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def to_standard_error() -> None:
    """Have the gateway's lines, and what its server warns of, written to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "specreason_graph" else logging.WARNING)
