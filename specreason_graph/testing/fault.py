"""What a scripted server can be told to do wrong."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from specreason_graph.testing.request import Refusal
from specreason_graph.testing.wire import event

FaultKind = Literal["status", "close", "hang", "malformed", "end", "no_logprobs", "no_token_ids"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way of failing.

    - `status`: answers with an HTTP status; inside a stream, with an error event.
    - `close`: drops the connection.
    - `hang`: sends nothing more.
    - `malformed`: sends something that is not JSON.
    - `end`: ends a stream in good order, but before its last event.
    - `no_logprobs`, `no_token_ids`: ignores the field `logprobs`, or `return_tokens_as_token_ids`.
    """

    kind: FaultKind
    status: int = 503
    """HTTP status of kind `status`."""
    message: str = "told to fail"
    """What kind `status` says."""
    after: int | None = None
    """Tokens of a stream that come before it; None fails instead of answering."""

    @property
    def ignores(self) -> bool:
        """Whether it only leaves fields of a request out."""
        return self.kind in ("no_logprobs", "no_token_ids")

    async def strike(self, http: web.Request) -> web.Response:
        """Fail instead of answering.

        Raises:
            Refusal: the fault is an HTTP status.
        """
        if self.kind == "status":
            raise self._refusal()
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
