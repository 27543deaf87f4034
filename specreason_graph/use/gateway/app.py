"""The HTTP side: routes, the key, and replies that are sent whole or as server-sent events."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from langchain_core.messages import AIMessage
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException

from specreason_graph.contract.errors import SpecReasonError
from specreason_graph.use.gateway.jobs import Job
from specreason_graph.use.gateway.refusal import Refusal, refusal
from specreason_graph.use.gateway.request import ChatRequest
from specreason_graph.use.gateway.response import Envelope
from specreason_graph.use.gateway.service import Gateway, Piece

_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx would hold the events back
_KEEP_ALIVE = ": reasoning\n\n"
_DONE = "data: [DONE]\n\n"


def _served(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


Served = Annotated[Gateway, Depends(_served)]


def _authorized(request: Request, gateway: Served) -> None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    expected = gateway.key.get_secret_value()
    if scheme.lower() != "bearer" or not secrets.compare_digest(key.strip().encode(), expected.encode()):
        raise Refusal(401, "the gateway's key is missing or wrong: send it as a bearer token", code="invalid_api_key")


_open = APIRouter()
_keyed = APIRouter(prefix="/v1", dependencies=[Depends(_authorized)])


@_open.get("/health")
async def _health(gateway: Served) -> dict[str, Any]:
    return {"status": "ok", "running": gateway.jobs.running, "waiting": gateway.jobs.waiting}


@_keyed.get("/models")
async def _models(gateway: Served) -> dict[str, Any]:
    return {"object": "list", "data": await gateway.cards()}


@_keyed.get("/models/{name:path}")
async def _model(name: str, gateway: Served) -> dict[str, Any]:
    return await gateway.card(name)


@_keyed.post("/chat/completions")
async def _chat_completions(asked: ChatRequest, request: Request, gateway: Served) -> Response:
    envelope = Envelope(asked.model)
    if not asked.stream:
        whole = await gateway.whole(asked)
        async with _stopped_by_leaving(request, whole):
            return JSONResponse(envelope.completion([reply async for reply in whole.items() if reply]))
    run = await gateway.streamed(asked)
    async with _stopped_by_leaving(request, run):
        await run.begun(gateway.keep_alive)  # what is wrong with the request is told by the status, not in a stream
    events = _events(run.items(gateway.keep_alive), envelope, include_usage=asked.stream_options.include_usage)
    return StreamingResponse(
        events, media_type="text/event-stream", headers=_STREAM_HEADERS, background=BackgroundTask(run.stop)
    )


def create_app(gateway: Gateway) -> FastAPI:
    """The gateway as an ASGI application."""
    app = FastAPI(title="specreason", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.gateway = gateway
    app.include_router(_open)
    app.include_router(_keyed)
    for kind in (Refusal, SpecReasonError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _refused)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    told = refusal(error)
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
    pieces: AsyncIterator[Piece | None], envelope: Envelope, *, include_usage: bool
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
        yield _event(refusal(error).document)
        if not isinstance(error, SpecReasonError | Refusal):
            raise
    if include_usage and endings:
        yield _event(envelope.usage_chunk(endings))
    yield _DONE


def _event(document: dict[str, Any]) -> str:
    return f"data: {json.dumps(document)}\n\n"
