"""A run's lives: attempts in processes of their own, killed at given moments, until one of them gets to the end."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from langgraph.types import StateSnapshot

from specreason_graph import Pair, create_specreason
from specreason_graph.testing import Pace, Record, Script, ScriptedPair, ScriptedServer, scripted_pair

from .stores import Store
from .worker import Durability, attempt, thread

SCORES = [9, 2, 9, 9, 2, 2, 9, 9]
STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 9)]
DRAFTED = [
    right if score > 6 else f"Step {n} says that {n} and {n} is {2 * n + 1}."
    for n, (right, score) in enumerate(zip(STEPS, SCORES, strict=True), 1)
]
_STEP = re.compile(rb"Step \d says")
_BASE = Pace(ttft=0.03, seconds_per_token=0.012)
_DRAFT = Pace(ttft=0.015, seconds_per_token=0.004)

# A process that has imported everything, and forks one child an attempt: each is a real process, and starts at once.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    ["specreason_graph", "langgraph.checkpoint.postgres.aio", "langgraph.checkpoint.sqlite.aio"]
)


@dataclass(frozen=True, slots=True)
class Life:
    """One attempt, and what it left."""

    killed: bool
    seconds: float
    told: list[int]
    """Indices of the steps that it said were kept."""
    asked: list[Asked]
    left: StateSnapshot
    """As another process reads it afterwards."""

    @property
    def kept(self) -> list[dict[str, Any]]:
        """The steps in the store."""
        steps: list[dict[str, Any]] = self.left.values.get("specreason_steps", [])
        return steps

    @property
    def at(self) -> str:
        """The node that was running, as far as the store tells."""
        if self.left.created_at is None:
            return "nothing saved"
        return "done" if self.left.values.get("specreason_done") else next(iter(self.left.next), "between two")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for a model's tokens."""

    role: str
    step: int
    """Whose index is the number of kept steps in its prompt."""
    tokens: int
    """That were generated."""


@dataclass(frozen=True, slots=True)
class Lives:
    """Runs of one kind, on servers that see them all."""

    servers: ScriptedPair
    pair: Pair
    store: Store
    durability: Durability

    async def live(self, name: str, seconds: float | None, *, steps: int = 0) -> Life:
        """One attempt at a run, which is killed after so many seconds if it lasts that long; None lets it live.

        They are counted from when it has told so many steps.
        """
        before = [len(server.completions) for server in (self.servers.base, self.servers.draft)]
        receiver, sender = _FORKS.Pipe(duplex=False)
        given = (self.servers.config.model_dump_json(), self.store, name, self.durability, sender)
        process = _FORKS.Process(target=attempt, args=given)
        began = time.monotonic()
        process.start()
        sender.close()
        told = await asyncio.to_thread(lambda: [receiver.recv() for _ in range(steps)])
        if seconds != 0:
            await asyncio.to_thread(process.join, seconds)
        if process.exitcode is None:
            process.kill()
            await asyncio.to_thread(process.join)
        lived = time.monotonic() - began
        assert process.exitcode in (0, -signal.SIGKILL), "it ended by itself, with an error"
        async with asyncio.timeout(30):
            await self.servers.base.idle()
            await self.servers.draft.idle()
        async with self.store.saver() as saver:
            left = await create_specreason(pair=self.pair).compile(checkpointer=saver).aget_state(thread(name))
        return Life(process.exitcode != 0, lived, [*told, *_received(receiver)], self._asked(*before), left)

    async def run(self, name: str, moment: Callable[[], float | None]) -> list[Life]:
        """Attempts at one run until one ends; `moment` draws when each is killed."""
        attempts = [await self.live(name, moment())]
        while attempts[-1].killed:
            assert len(attempts) < 100, "it gets no further"
            attempts.append(await self.live(name, moment()))
        return attempts

    async def history(self, name: str) -> list[StateSnapshot]:
        """All checkpoints of a run, the oldest first."""
        async with self.store.saver() as saver:
            graph = create_specreason(pair=self.pair).compile(checkpointer=saver)
            return [snapshot async for snapshot in graph.aget_state_history(thread(name))][::-1]

    def _asked(self, base: int, draft: int) -> list[Asked]:
        since = [(self.servers.base, it) for it in self.servers.base.completions[base:]]
        since += [(self.servers.draft, it) for it in self.servers.draft.completions[draft:]]
        return [_asked(server, record) for server, record in since]


@asynccontextmanager
async def lives(store: Store, durability: Durability) -> AsyncIterator[Lives]:
    """With the default settings, so that both overlaps are on, at a pace that makes a run last about a second."""
    base = ScriptedServer(Script(STEPS, answer="72", scores=SCORES), template="think", pace=_BASE)
    draft = ScriptedServer(Script(DRAFTED, answer="72"), template="think", pace=_DRAFT)
    first = _FORKS.Process()
    first.start()
    await asyncio.to_thread(first.join)  # it waits for the imports; the others don't
    async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
        yield Lives(servers, pair, store, durability)


def _received(told: Connection) -> list[int]:
    """What was sent before the end: a pipe keeps it when its writer is killed."""
    received = []
    with told:
        while told.poll():
            try:
                received.append(told.recv())
            except EOFError:
                break
    return received


def _asked(server: ScriptedServer, record: Record) -> Asked:
    written = len(_STEP.findall(server.model.tokenizer.spell(record.prompts[0])))
    if server.model.script.scores and record.body["max_tokens"] == 1:
        return Asked("judge", written - 1, record.tokens)  # the last one is drafted
    return Asked("base" if server.model.script.scores else "draft", written, record.tokens)
