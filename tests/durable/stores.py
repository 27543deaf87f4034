"""Where runs are kept: a file of SQLite, or a database on a PostgreSQL server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver


@dataclass(frozen=True, slots=True)
class Store:
    """A path or a connection string that another process can open, too."""

    kind: Literal["sqlite", "postgres"]
    where: str
    lag: float = 0.0
    """Seconds that each checkpoint takes longer."""

    @asynccontextmanager
    async def saver(self) -> AsyncIterator[BaseCheckpointSaver[Any]]:
        """A connection of its own."""
        opened = AsyncSqliteSaver if self.kind == "sqlite" else AsyncPostgresSaver
        async with opened.from_conn_string(self.where) as saver:
            if self.lag:
                put = saver.aput

                async def late(*given: Any) -> Any:
                    await asyncio.sleep(self.lag)
                    return await put(*given)

                saver.aput = late  # type: ignore[assignment, method-assign]
            yield saver
