"""The HTTP side: routes, and replies that are sent whole or as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from langchain_core.messages import AIMessage
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from specreason_graph.contract.errors import SpecReasonError
from specreason_graph.use.gateway import watch
from specreason_graph.use.gateway.account import Account
from specreason_graph.use.gateway.connection import Limits
from specreason_graph.use.gateway.front import Accounts, Door
from specreason_graph.use.gateway.jobs import Job
from specreason_graph.use.gateway.metrics import Metrics
from specreason_graph.use.gateway.refusal import Refusal
from specreason_graph.use.gateway.request import read
from specreason_graph.use.gateway.response import Envelope
from specreason_graph.use.gateway.service import Gateway, Piece

_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx would hold the events back
_KEEP_ALIVE = ": reasoning\n\n"
_DONE = "data: [DONE]\n\n"


def _served(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _account(request: Request) -> Account:
    account: Account = request.state.account
    return account


Served = Annotated[Gateway, Depends(_served)]
Noted = Annotated[Account, Depends(_account)]
_routes = APIRouter()


@_routes.get("/health")
async def _health(gateway: Served) -> dict[str, Any]:
    return {"status": "ok", "running": gateway.jobs.running, "waiting": gateway.jobs.waiting}


@_routes.get("/ready")
async def _ready(gateway: Served) -> Response:
    roles = await gateway.readiness.roles()
    able = roles["base"] and (roles["draft"] or gateway.settings.degrade)
    status = "stopping" if gateway.jobs.draining else "ready" if able else "not ready"
    told = {role: "up" if up else "down" for role, up in roles.items()}
    return JSONResponse({"status": status, **told}, 200 if status == "ready" else 503)


@_routes.get("/metrics")
async def _metrics(gateway: Served) -> Response:
    return Response(gateway.metrics.text(), media_type=Metrics.content_type)


@_routes.get("/v1/models")
async def _models(gateway: Served) -> dict[str, Any]:
    return {"object": "list", "data": await gateway.cards()}


@_routes.get("/v1/models/{name:path}")
async def _model(name: str, gateway: Served) -> dict[str, Any]:
    return await gateway.card(name)


@_routes.post("/v1/chat/completions")
async def _chat_completions(request: Request, gateway: Served, account: Noted) -> Response:
    asked = await asyncio.to_thread(read, await request.body())
    envelope = Envelope(asked.model)
    if not asked.stream:
        whole = await gateway.whole(asked, account)
        async with _stopped_by_leaving(request, whole):
            replies = dict([reply async for reply in whole.items() if reply])
        return JSONResponse(envelope.completion([replies[index] for index in sorted(replies)]))
    run = await gateway.streamed(asked, account)
    async with _stopped_by_leaving(request, run):
        await run.begun(gateway.keep_alive)  # what is wrong with the request is told by the status, not in a stream
    pieces = run.items(gateway.keep_alive)
    events = _events(pieces, envelope, account, include_usage=asked.stream_options.include_usage)
    return StreamingResponse(
        events, media_type="text/event-stream", headers=_STREAM_HEADERS, background=BackgroundTask(run.stop)
    )


def create_app(
    gateway: Gateway,
    limits: Limits | None = None,
    *,
    origins: Sequence[str] = (),
    open_metrics: bool = False,
) -> ASGIApp:
    """The gateway as an ASGI application.

    Args:
        gateway: what it serves.
        limits: of which the size of a body is seen to here; the rest is the server's.
        origins: pages, such as `https://chat.example`, whose scripts may read the replies.
        open_metrics: whether `/metrics` needs no key.
    """
    app = FastAPI(title="specreason", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.gateway = gateway
    app.include_router(_routes)
    if gateway.seen is not None:
        app.include_router(watch.routes)
    for kind in (Refusal, SpecReasonError, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _refused)
    behind: ASGIApp = Door(app, gateway, (limits or Limits()).body_bytes, open_metrics=open_metrics)
    if origins:
        methods, told = ["GET", "POST"], ["X-Request-ID", "Retry-After"]
        behind = CORSMiddleware(
            behind, allow_origins=origins, allow_methods=methods, allow_headers=["*"], expose_headers=told
        )
    return Accounts(behind, gateway)


async def _refused(request: Request, error: Exception) -> Response:
    told = _account(request).refused(error)
    return JSONResponse(told.document, status_code=told.status, headers=dict(told.headers))


@asynccontextmanager
async def _stopped_by_leaving(request: Request, run: Job[Any]) -> AsyncIterator[None]:
    """Stop the run when its client leaves; a streamed response sees to that itself."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        await run.stop()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


async def _events(
    pieces: AsyncIterator[Piece | None], envelope: Envelope, account: Account, *, include_usage: bool
) -> AsyncIterator[str]:
    endings: list[AIMessage] = []
    try:
        async for told in pieces:
            if told is None:
                yield _KEEP_ALIVE
                continue
            index, piece = told
            yield _event(envelope.chunk(index, piece))
            if piece.chunk_position == "last":
                endings.append(piece)
    except Exception as error:
        yield _event(account.refused(error).document)
        if not isinstance(error, SpecReasonError | Refusal):
            raise
    if include_usage and endings:
        yield _event(envelope.usage_chunk(endings))
    yield _DONE


def _event(document: dict[str, Any]) -> str:
    return f"data: {json.dumps(document)}\n\n"
