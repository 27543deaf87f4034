"""What stands before the application, as plain ASGI: nothing of a request is read before its key was seen."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from specreason_graph.use.gateway import log
from specreason_graph.use.gateway.account import Account, request_id
from specreason_graph.use.gateway.refusal import Refusal, stopping
from specreason_graph.use.gateway.service import Gateway
from specreason_graph.use.gateway.spans import RequestSpan, request_span

PROBES = ("/health", "/ready", "/metrics")
"""What machines ask again and again; none of it is a line in the log, and no browser's preflight is."""
_METRICS = "/metrics"
_RUNS = "runs"
_METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE")
_ID = b"x-request-id"


class Accounts:
    """Outermost: each request gets an id and an account, which is closed however the request ends."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        preflight = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        probe = scope["path"] in PROBES or preflight
        method = scope["method"] if scope["method"] in _METHODS else "other"
        with nullcontext(RequestSpan()) if probe else request_span(f"{method} gateway", headers) as span:
            account = Account(request_id(headers.get("x-request-id", "")), method, span)
            log.request.set(account.id)
            scope.setdefault("state", {})["account"] = account
            whole = left = False

            async def received() -> Message:
                nonlocal left
                message = await receive()
                left = left or (message["type"] == "http.disconnect" and not whole)
                return message

            async def told(message: Message) -> None:
                nonlocal whole
                if message["type"] == "http.response.start":
                    account.status = message["status"]
                    message = {**message, "headers": [*message.get("headers", ()), (_ID, account.id.encode())]}
                else:
                    whole = not message.get("more_body", False)
                await send(message)

            try:
                await self._app(scope, received, told)
            finally:
                if not probe:
                    outcome = account.close(route=getattr(scope.get("route"), "path", None), left=left)
                    self._gateway.metrics.count(account, outcome)


class Door:
    """Lets in who has a key, with a body of a bearable size, as long as the gateway takes anything."""

    def __init__(self, app: ASGIApp, gateway: Gateway, body_bytes: int, *, open_metrics: bool) -> None:
        self._app = app
        self._gateway = gateway
        self._body_bytes = body_bytes
        self._open = set(PROBES) - (set() if open_metrics else {_METRICS})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        account: Account = scope["state"]["account"]
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._body_bytes:
                raise self._too_large()
            return message

        try:
            self._let_in(scope, account)
        except Refusal as no:
            account.code = no.code
            await JSONResponse(no.document, no.status, headers=dict(no.headers))(scope, receive, send)
        else:
            await self._app(scope, bounded, send)

    def _let_in(self, scope: Scope, account: Account) -> None:
        headers = _headers(scope)
        if scope["path"] not in self._open or scope["method"] not in ("GET", "HEAD"):
            watched = self._gateway.seen is not None and scope["path"].split("/")[1:2] == [_RUNS]
            key = _sent_key(headers.get("authorization", ""), by_browser=watched)
            account.key = None if key is None else self._gateway.keys.name_of(key)
            if account.key is None:
                said = "the gateway's key is missing or wrong: send it as a bearer token"
                raise Refusal(401, said, code="invalid_api_key", scheme="Basic" if watched else "Bearer")
            if self._gateway.jobs.draining and scope["method"] == "POST":
                raise stopping()
        size = headers.get("content-length", "0")
        if not size.isdecimal() or int(size) > self._body_bytes:
            raise self._too_large()

    def _too_large(self) -> Refusal:
        said = f"the body is larger than {self._body_bytes} bytes; send less, or have --body-limit raised"
        return Refusal(413, said, code="body_too_large")


def _sent_key(authorization: str, *, by_browser: bool) -> str | None:
    """The key of a bearer token, or the password that a browser has asked its user for; None where neither is."""
    scheme, _, sent = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return sent
    if scheme.lower() != "basic" or not by_browser:
        return None
    try:
        return base64.b64decode(sent, validate=True).decode().partition(":")[2]
    except ValueError:
        return None


def _headers(scope: Scope) -> Mapping[str, str]:
    """By name; of one that was sent twice, the last."""
    headers: dict[str, Any] = {}
    for name, value in scope["headers"]:
        headers[name.decode("latin-1")] = value.decode("latin-1")
    return headers
