"""Servers that answer what a test wants, and a proxy that changes what another one answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.endpoint import Endpoint, connect
from specreason_graph.testing import Script, ScriptedServer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Change = Callable[[dict[str, Any]], object]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A server that has this handler answer everything; its address."""
    app = web.Application(client_max_size=2**28)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def changed(
    server: ScriptedServer, change: Change, path: str = "/v1/completions"
) -> AsyncIterator[EndpointConfig]:
    """A proxy before a server: each document that it answers on a path, or in an event there, is changed."""
    async with aiohttp.ClientSession() as client:

        async def passed_on(request: web.Request) -> web.StreamResponse:
            async with client.request(request.method, server.url + request.path, data=await request.read()) as answer:
                body = await answer.read()
            if request.path == path and answer.status == 200:
                body = b"".join(map(line, body.splitlines(keepends=True)))
            return web.Response(body=body, status=answer.status, content_type=answer.content_type)

        def line(raw: bytes) -> bytes:
            begin, _, document = raw.rpartition(b"data: ") if raw.startswith(b"data: ") else (b"", b"", raw)
            if not document.startswith(b"{"):
                return raw
            made = json.dumps(change(json.loads(document))).encode()
            return b"data: " + made + b"\n" if raw.startswith(b"data: ") else begin + made

        async with serving(passed_on) as url:
            yield server.config.model_copy(update={"base_url": url})


@asynccontextmanager
async def llama(answers: Mapping[str, Any], *, slots: int = 2) -> AsyncIterator[EndpointConfig]:
    """A llama.cpp server that gives these answers by path: documents, lists of events, or functions of the request."""

    async def tokenized(request: web.Request) -> Any:
        pieces = (await request.json()).get("with_pieces")
        return {"tokens": [{"id": 65, "piece": "A"} if pieces else 65]}

    async def answer(request: web.Request) -> web.StreamResponse:
        known = {
            "/v1/models": {"data": [{"id": "m"}]},
            "/props": {"default_generation_settings": {"n_ctx": 100}, "total_slots": slots},
            "/tokenize": tokenized,
            **answers,
        }
        found = known[request.path]
        if callable(found):
            found = await found(request)
        if request.path == "/completion" and (await request.json()).get("stream"):
            body = "".join(f"data: {json.dumps(event)}\n\n" for event in found)
            return web.Response(text=body, content_type="text/event-stream")
        return web.json_response(found)

    async with serving(answer) as url:
        yield EndpointConfig(base_url=url, dialect="llamacpp")


STEPS = ["There are 3 cows 🙂 and 4 hens.", "3 * 4 = 12 legs:", "So 你好 it is 12."]
ASKED = [{"role": "user", "content": "How many?"}]


def odd_server(tokens_per_event: int = 1, **options: Any) -> ScriptedServer:
    return ScriptedServer(Script(STEPS, answer="12"), template="think", tokens_per_event=tokens_per_event, **options)


@asynccontextmanager
async def connected(server: ScriptedServer, change: Change) -> AsyncIterator[Endpoint]:
    """A client of a server behind a proxy that changes each answer and event."""
    async with server, changed(server, change) as config:
        endpoint = connect("draft", config)
        try:
            yield endpoint
        finally:
            await endpoint.aclose()


def choice_with(**fields: Any) -> Change:
    """Each choice with other fields; a function of the old value makes the new one."""

    def change(document: dict[str, Any]) -> object:
        choices = [
            choice | {name: value(choice[name]) if callable(value) else value for name, value in fields.items()}
            for choice in document["choices"]
        ]
        return document | {"choices": choices}

    return change


def logprobs_with(**fields: Any) -> Change:
    """The same inside `logprobs`."""

    def changed_logprobs(old: dict[str, Any]) -> dict[str, Any]:
        return old | {name: value(old[name]) if callable(value) else value for name, value in fields.items()}

    return choice_with(logprobs=changed_logprobs)


def without(name: str) -> Change:
    return lambda document: {key: value for key, value in document.items() if key != name}
