"""A server that is gone costs its timeout once, not once a request."""

from __future__ import annotations

import time
from threading import Lock

from specreason_graph.contract.errors import EndpointError, retold

SILENCE = 30.0
"""Seconds for which a server is left alone that answered nothing at all: each look at it may cost a timeout."""
_FIRST, _LONGEST = 1.0, 30.0  # seconds for which one is left alone that refuses connections: a look costs nothing


class Breaker:
    """Whether a server is asked: one a server, shared by all runs and by the event loops of all threads.

    - Closed: it is.
    - Open: it was gone, and is left alone. Requests fail at once, with the error that opened it.
    - Half-open: that time is over. One request may look whether it answers; others fail at once until it has.
    """

    def __init__(self) -> None:
        self._error: EndpointError | None = None
        self._until = 0.0
        self._pause = 0.0
        self._lock = Lock()
        self.answered_at: float | None = None
        """When it answered last, whatever it said, by `time.monotonic`."""

    @property
    def is_closed(self) -> bool:
        """Whether nothing is known against the server."""
        return self._error is None

    def enter(self, seconds: float) -> bool:
        """Before a request. Returns whether it has to look first, and has so many seconds for that.

        Raises:
            EndpointError: it is open; `retry_after` says for how long.
        """
        with self._lock:
            if self._error is None:
                return False
            left = self._until - time.monotonic()
            if left <= 0:
                self._until = time.monotonic() + seconds  # nobody else looks; a look whose loop is gone is forgotten
                return True
            raise _kept_back(self._error, left)

    def answered(self) -> None:
        """The server answered: it is there."""
        self.answered_at = time.monotonic()
        if self._error is not None:
            with self._lock:
                self._error, self._pause = None, 0.0

    def lost(self, error: EndpointError, since: float, *, doubtful: bool = False) -> None:
        """The server seems to be gone: nothing came of a request that began at `since`.

        Where others were answered meanwhile, it was the request. A `doubtful` server is looked at by the next one.
        """
        with self._lock:
            if self.answered_at is not None and self.answered_at > since:
                return
            if self._error is None:
                self._error = error
            self._leave(0.0 if doubtful else error.retry_after or 0.0, doubtful=doubtful)

    def still_lost(self) -> None:
        """Whoever looked got no answer.

        Raises:
            EndpointError: as `enter`, unless another one was answered meanwhile.
        """
        with self._lock:
            if self._error is not None:
                self._leave(self._error.retry_after or 0.0)
                raise _kept_back(self._error, self._pause)

    def not_looked(self) -> None:
        """Whoever was to look was cancelled."""
        with self._lock:
            self._until = 0.0

    def _leave(self, at_least: float, *, doubtful: bool = False) -> None:
        if doubtful:
            self._until = 0.0
            return
        # What a gateway says of the time until its server is back is its own guess, and a look costs little.
        self._pause = max(min(at_least, SILENCE), min(max(_FIRST, 2 * self._pause), _LONGEST))
        self._until = time.monotonic() + self._pause


def _kept_back(error: EndpointError, seconds: float) -> EndpointError:
    failed = retold(error, f"{error}; it is left alone, and tried again in {seconds:.1f} s")
    failed.retry_after = seconds
    return failed
