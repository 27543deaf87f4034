"""Runs that are kept elsewhere: in a thread of a checkpointer, or by a gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver

from specreason_graph.contract.config import EndpointConfig, Environment, PairConfig
from specreason_graph.contract.errors import ConfigError, SpecReasonError
from specreason_graph.contract.state import SpecReasonState
from specreason_graph.loop.graph import create_specreason
from specreason_graph.loop.report import Report, report
from specreason_graph.models.pair import Pair

SQLITE, POSTGRES, GATEWAY = "sqlite:", ("postgresql://", "postgres://"), ("http://", "https://")
_NOBODY = EndpointConfig(base_url="http://127.0.0.1:9")
_PATIENCE = 30.0  # seconds


def shown(name: str) -> str:
    """A run's name without the user and the password of an address."""
    return re.sub(r"(?<=://)[^#]*@", "", name)


def of_thread(name: str) -> Report:
    """The last run of a thread, `sqlite:FILE#THREAD` or `postgresql://…#THREAD`.

    Raises:
        ConfigError: there is no such thread, or no run of ours on it.
        SpecReasonError: the database can't be read.
    """
    address, mark, thread = name.rpartition("#")
    if not mark or not thread:
        raise ConfigError(f"run: {shown(name)} names no thread; put it behind a #, as in sqlite:runs.sqlite#THREAD")
    file = Path(address.removeprefix(SQLITE))
    if address.startswith(SQLITE) and not file.is_file():  # opening it would make one
        raise ConfigError(f"run: there is no file {file}")
    state = asyncio.run(_state(address, thread))
    if "specreason_run" not in state:
        raise ConfigError(f"run: the database has no thread {thread!r} with a run of ours")
    return report(cast(SpecReasonState, state))


async def _state(address: str, thread: str) -> dict[str, Any]:
    config: RunnableConfig = {"configurable": {"thread_id": thread}}
    async with _saver(address) as saver, Pair(PairConfig(base=_NOBODY, draft=_NOBODY)) as nobody:
        found = await create_specreason(pair=nobody).compile(checkpointer=saver).aget_state(config)
    return cast(dict[str, Any], found.values)


@asynccontextmanager
async def _saver(address: str) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    if address.startswith(SQLITE):
        try:
            from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver as Saver
        except ImportError:
            raise ConfigError("run: a thread of SQLite needs: pip install langgraph-checkpoint-sqlite") from None
        address = address.removeprefix(SQLITE)
    else:
        try:
            from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver as Saver  # type: ignore[assignment]
        except ImportError:
            needed = "langgraph-checkpoint-postgres 'psycopg[binary]'"
            raise ConfigError(f"run: a thread of PostgreSQL needs: pip install {needed}") from None
    try:
        async with Saver.from_conn_string(address) as saver:
            yield saver
    except SpecReasonError:
        raise
    except Exception as error:  # each database has errors of its own, and they may quote the address
        raise SpecReasonError(f"run: can't read the database ({type(error).__name__})") from None


def of_gateway(address: str) -> dict[str, Any]:
    """A run of a gateway by the address of its page, with the key in SPECREASON_GATEWAY_KEY.

    Raises:
        ConfigError: there is none, or the key is missing or wrong.
        SpecReasonError: the gateway can't be reached.
    """
    key = Environment().gateway_key
    headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
    try:
        return asyncio.run(_record(f"{address.rstrip('/')}/record", headers))
    except SpecReasonError:
        raise
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise SpecReasonError(f"run: can't get {shown(address)} ({type(error).__name__})") from None


async def _record(address: str, headers: dict[str, str]) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=_PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as client, client.get(address, headers=headers) as answer:
        if answer.status == 401:
            raise ConfigError("run: the gateway wants its key; put it into SPECREASON_GATEWAY_KEY")
        if answer.status == 404:
            raise ConfigError("run: the gateway shows no such run; `specreason serve --runs 100` shows the last 100")
        answer.raise_for_status()
        return cast(dict[str, Any], await answer.json())
