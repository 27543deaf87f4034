"""Where the runs of a soak are kept: this process, or a real PostgreSQL that is restarted under them."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from functools import partial
from pathlib import Path

from durable.stores import Store
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from .lives import Saver

_SERVER = Path(__file__).parents[1] / "durable" / "postgres.sh"


@asynccontextmanager
async def one_life(saver: InMemorySaver) -> AsyncIterator[Saver]:
    """A store of this process as one life sees it: all share what it holds."""
    yield copy(saver)


class NoPostgres(Exception):
    """There is none on this machine; the message says how to get it."""


class Postgres:
    """A server of our own."""

    def __init__(self, folder: str, dsn: str) -> None:
        self.store = Store("postgres", dsn)
        self._folder = folder

    async def setup(self) -> None:
        """Make the tables."""
        async with AsyncPostgresSaver.from_conn_string(self.store.where) as saver:
            await saver.setup()

    async def restart(self) -> None:
        """As behind a crash: nobody is waited for."""
        await asyncio.to_thread(partial(subprocess.run, [_SERVER, "restart", self._folder], check=True))


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start one, and end it.

    Raises:
        NoPostgres: it is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="specreason-soak-") as folder:
        started = subprocess.run([_SERVER, "start", folder], capture_output=True, text=True, encoding="utf-8")
        if started.returncode:
            raise NoPostgres(started.stderr.strip())
        try:
            yield Postgres(folder, started.stdout.strip())
        finally:
            subprocess.run([_SERVER, "stop", folder], check=True)
