"""`/runs`: what goes on now, and a run's page that follows it. A key sees its own runs alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel

from specreason_graph.loop.report import acceptance
from specreason_graph.use.gateway.refusal import Refusal
from specreason_graph.use.gateway.seen import SeenRun, SeenRuns, Status
from specreason_graph.use.page.build import run_page
from specreason_graph.use.page.render import html, runs_html
from specreason_graph.use.page.text import shown

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Row(BaseModel):
    """A run in the list."""

    id: str
    begun: float
    """Seconds since 1970."""
    pair: str
    status: Status
    question: str
    steps: int
    accepted: int
    judged: int


def _seen(request: Request) -> SeenRuns:
    seen: SeenRuns = request.app.state.gateway.seen
    return seen


def _key(request: Request) -> str:
    key: str = request.state.account.key
    return key


Runs = Annotated[SeenRuns, Depends(_seen)]
Key = Annotated[str, Depends(_key)]
routes = APIRouter()


@routes.get("/runs")
async def _list(request: Request, runs: Runs, key: Key) -> Response:
    own = list(runs.of(key))
    version = f"{len(own)}-{sum(run.version for run in own)}-{own[0].id if own else ''}"

    def made() -> str:
        return html("list.html.j2", title="Runs", rows=[_row(run) for run in own], live=True)

    return await _fresh(request, version, made)


@routes.get("/runs/{id}")
async def _page(request: Request, id: str, runs: Runs, key: Key) -> Response:
    run = _own(runs, key, id)
    record = run.so_far()  # here: what it reads is being written in this thread
    written = sum(len(it["text"]) for it in record["pending"]) + len(record["answer"] or "")
    return await _fresh(request, f"{run.version}-{written}", lambda: _page_of(run.status, record))


@routes.get("/runs/{id}/record")
async def _record(id: str, runs: Runs, key: Key) -> Response:
    """What `specreason view` reads."""
    run = _own(runs, key, id)
    return JSONResponse({**run.so_far(), "status": run.status}, headers=_HEADERS)


def _own(runs: SeenRuns, key: str, id: str) -> SeenRun:
    run = runs.get(key, id)
    if run is None:
        raise Refusal(404, "run: your key has none of this id, or has had it long ago", code="not_found")
    return run


def _row(run: SeenRun) -> Row:
    found = run.report()
    accepted, judged = acceptance(found["steps"])
    question = shown(" ".join(found["question"][:120].split())) or "(nothing is known yet)"
    return Row(
        id=run.id,
        begun=run.begun,
        pair=run.pair,
        status=run.status,
        question=question,
        steps=len(found["steps"]),
        accepted=accepted,
        judged=judged,
    )


def _page_of(status: Status, record: Mapping[str, Any]) -> str:
    goes_on = status == "running"
    page = run_page(record, status, goes_on=goes_on)
    return runs_html([page], page.title, live=goes_on)


async def _fresh(request: Request, version: str, made: Callable[[], str]) -> Response:
    """A page, in a thread of its own; nothing where the reader has this version."""
    tag = f'"{version}"'
    headers = {**_HEADERS, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return HTMLResponse(await asyncio.to_thread(made), headers=headers)
