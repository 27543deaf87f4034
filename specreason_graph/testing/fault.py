"""What a scripted server can be told to do wrong."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web

from specreason_graph.testing.odd import CHANGES, IGNORED_FIELDS, OddKind
from specreason_graph.testing.request import Refusal
from specreason_graph.testing.wire import event

FaultKind = Literal["status", "close", "hang", "malformed", "end"] | OddKind


@dataclass(frozen=True, slots=True)
class Fault:
    """One way of failing, or of answering in full but oddly.

    - `status`: answers with an HTTP status; inside a stream, with an error event.
    - `close`: drops the connection.
    - `hang`: sends nothing more.
    - `malformed`: sends something that is not JSON.
    - `end`: ends a stream in good order, but before its last event.
    - `no_logprobs`, `no_token_ids`: ignores the field `logprobs`, or `return_tokens_as_token_ids`.
    - `ignores_stop`, `ignores_stop_ids`: ignores the field `stop`, or `stop_token_ids`.
    - `ignores_structured_outputs`: ignores that field, and writes what it likes.
    - `no_token_strs`: answers `/tokenize` without `token_strs` (plan it with `path="/tokenize"`).
    - `no_usage`: ends a stream without the usage that was asked for; a whole answer's usage is null.
    - `null_choices`: `choices` is null in each event or answer.
    - `null_logprobs`: all log-probabilities are null.
    - `nan_logprobs`: they are NaN, spelled so in the JSON text, as Python spells it.
    """

    kind: FaultKind
    status: int = 503
    """HTTP status of kind `status`."""
    message: str = "told to fail"
    """What kind `status` says."""
    retry_after: str | None = None
    """What its header `Retry-After` says."""
    after: int | None = None
    """Tokens of a stream that come before it; None fails instead of answering."""

    @property
    def odd(self) -> bool:
        """Whether it only changes what is read of a request, or what is answered."""
        return self.kind in IGNORED_FIELDS or self.kind in CHANGES

    @property
    def strikes_at_once(self) -> bool:
        """Whether it comes in place of an answer."""
        return self.after is None and self.kind != "end" and not self.odd

    def read(self, body: dict[str, Any]) -> dict[str, Any]:
        """What a server with this fault reads of a request's body."""
        ignored = IGNORED_FIELDS.get(self.kind)
        return {field: value for field, value in body.items() if field != ignored}

    def changed(self, answer: dict[str, Any]) -> dict[str, Any]:
        """What a server with this fault makes of an answer, or of one event's data."""
        change = CHANGES.get(self.kind)
        return answer if change is None else change(answer)

    async def strike(self, http: web.Request) -> web.Response:
        """Fail instead of answering."""
        if self.kind == "status":
            headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
            return web.json_response(self._refusal().document, status=self.status, headers=headers)
        if self.kind == "malformed":
            return web.Response(text="<html>502 Bad Gateway</html>")
        await self._silence(http)
        return web.Response()

    async def strike_stream(self, http: web.Request, response: web.StreamResponse) -> None:
        """Fail in the middle of a stream."""
        if self.kind == "status":
            await response.write(event(self._refusal().document))
        elif self.kind == "malformed":
            await response.write(b'data: {"choices": [\n\n')
        elif self.kind != "end":
            await self._silence(http)

    async def _silence(self, http: web.Request) -> None:
        if self.kind == "hang":
            await asyncio.Event().wait()
        if http.transport is not None:
            http.transport.close()

    def _refusal(self) -> Refusal:
        return Refusal(self.message, status=self.status, kind="InternalServerError")
