"""Runs in a thread of a checkpointer: its own, and those of the loop inside an agent's graph."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from specreason_graph.contract.config import EndpointConfig, PairConfig
from specreason_graph.contract.errors import ConfigError, SpecReasonError
from specreason_graph.loop.graph import create_specreason
from specreason_graph.loop.history import KeptRun, runs_of
from specreason_graph.loop.report import so_far
from specreason_graph.models.pair import Pair
from specreason_graph.use.page.text import shown

SQLITE, POSTGRES = "sqlite:", ("postgresql://", "postgres://")
_SERVER = re.compile(r"(?P<address>[a-z]+://(?:[^/@]*@)?[^#]*)#(?P<thread>.+)", re.DOTALL)  # a password may hold a #
_NOBODY = EndpointConfig(base_url="http://127.0.0.1:9")
_QUESTION = 60  # characters of one in the list
_LISTED = 20  # runs


class OfThread(NamedTuple):
    """A run of a thread."""

    record: dict[str, Any]
    """Its report, with what waits to be judged."""
    about: str
    """Which of the thread's it is."""
    others: list[str]
    """What there is to choose from, a line a run; empty where it is the only one."""


def of_thread(name: str, number: int | None = None) -> OfThread:
    """A run of a thread, `sqlite:FILE#THREAD` or `postgresql://…#THREAD`.

    Args:
        name: the thread's.
        number: which of its runs, from 1; None: the last.

    Raises:
        ConfigError: there is no such thread, or no such run of ours on it.
        SpecReasonError: the database can't be read.
    """
    address, thread = _parts(name)
    return asyncio.run(_run_of(address, thread, number))


def _parts(name: str) -> tuple[str, str]:
    """The database's address, and the thread."""
    if name.startswith(SQLITE):
        address, thread = split_at_file(name.removeprefix(SQLITE))
    else:
        found = _SERVER.fullmatch(name)
        address, thread = (found["address"], found["thread"]) if found else (name, "")
    if not thread:
        raise ConfigError("run: it names no thread; put one behind a #, as in sqlite:runs.sqlite#THREAD")
    if name.startswith(SQLITE):
        if not Path(address).is_file():
            raise ConfigError(f"run: there is no file {address}")
        address = f"{Path(address).resolve().as_uri()}?mode=ro"  # looking at it makes no tables in it
    return address, thread


def split_at_file(name: str) -> tuple[str, str]:
    """`FILE#REST` at the first # behind a file that is there; else at the first."""
    marks = [at for at, letter in enumerate(name) if letter == "#"]
    first = next((at for at in marks if Path(name[:at]).is_file()), marks[0] if marks else len(name))
    return name[:first], name[first + 1 :]


async def _run_of(address: str, thread: str, number: int | None) -> OfThread:
    async with _saver(address) as saver, Pair(PairConfig(base=_NOBODY, draft=_NOBODY)) as nobody:
        runs = await runs_of(saver, thread)
        if not runs:
            raise ConfigError(await _nothing_there(saver, thread))
        graph = create_specreason(pair=nobody).compile(checkpointer=saver)

        async def record(run: KeptRun) -> dict[str, Any]:
            return so_far(cast(Any, (await graph.aget_state(run.last)).values))

        chosen = len(runs) if number is None else number
        listed = list(enumerate(runs, 1))[-_LISTED:]
        lines = [_line(at, run, await record(run)) for at, run in listed] if len(runs) > 1 else []
        if not 1 <= chosen <= len(runs):
            there = "; ".join(lines) or "one alone"
            raise ConfigError(f"number: thread {thread!r} has no run {chosen}; there is {there}")
        run = runs[chosen - 1]
        which = f", run {chosen} of {len(runs)}" if len(runs) > 1 else ""
        inside = f", in {' / '.join(run.nodes)}" if run.nodes else ""
        return OfThread(await record(run), f"thread {thread}{which}{inside}", lines)


async def _nothing_there(saver: BaseCheckpointSaver[Any], thread: str) -> str:
    async for _ in saver.alist({"configurable": {"thread_id": thread}}, limit=1):
        return (
            f"run: thread {thread!r} has no run of ours: the loop keeps one as a graph, a subgraph or a node, and "
            "ChatSpecReason keeps none"
        )
    return f"run: the database has no thread {thread!r}"


def _line(number: int, run: KeptRun, record: dict[str, Any]) -> str:
    question = " ".join(record["question"].split())
    short = question[:_QUESTION] + "…" * (len(question) > _QUESTION)
    inside = f"{' / '.join(run.nodes)}: " if run.nodes else ""
    return str(shown(f"{number} {inside}{short}{'' if record['answer'] else ' (no answer)'}"))


@asynccontextmanager
async def _saver(address: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    opened = _server if address.startswith(POSTGRES) else _file
    logging.getLogger(JsonPlusSerializer.__module__).setLevel(logging.ERROR)  # what is not ours is left unread
    try:
        async with opened(address) as saver:
            saver.serde = JsonPlusSerializer(allowed_msgpack_modules=None)  # a database is data: it runs nothing here
            yield saver
    except SpecReasonError:
        raise
    except Exception as error:  # each database has errors of its own, and they may quote the address
        raise SpecReasonError(f"run: can't read the database ({type(error).__name__})") from None


@asynccontextmanager
async def _file(address: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    try:
        import aiosqlite
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
    except ImportError:
        raise ConfigError("run: a thread of SQLite needs: pip install langgraph-checkpoint-sqlite") from None
    async with aiosqlite.connect(address, uri=True) as connection:
        yield AsyncSqliteSaver(connection)


@asynccontextmanager
async def _server(address: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    try:
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    except ImportError:
        needed = "langgraph-checkpoint-postgres 'psycopg[binary]'"
        raise ConfigError(f"run: a thread of PostgreSQL needs: pip install {needed}") from None
    async with AsyncPostgresSaver.from_conn_string(address) as saver:
        yield saver
