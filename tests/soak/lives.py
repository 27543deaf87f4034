"""A run's lives: begun, left by its caller, killed, stopped by a fault, and resumed from its checkpoints to its end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from langgraph.checkpoint.base import BaseCheckpointSaver

from specreason_graph import Pair, create_specreason
from specreason_graph.contract.errors import SpecReasonError

from .questions import Question
from .tally import Tally

Saver = BaseCheckpointSaver[Any]
_LIVES = 40
"""Of one run; one that needs more gets no further."""
_CANCELLED, _KILLED = 0.15, 0.15
"""Shares of the lives that end so."""
_WAIT = 2.0
"""Seconds at most before a run is resumed."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The end that a life is given, so many seconds behind so many updates of its run."""

    how: Literal["cancelled", "killed"]
    updates: int
    seconds: float


class Mortal:
    """A store that takes nothing more of a life that was killed.

    That is what stands for a dead process here: its task is dropped without a chance to save, and the run is resumed
    over another `Pair`, which knows nothing of what the first one held. `tests/durable` kills real processes.
    """

    def __init__(self, saver: Saver) -> None:
        self.killed = False
        saver.aput = self._while_it_lives(saver.aput)  # type: ignore[method-assign]
        saver.aput_writes = self._while_it_lives(saver.aput_writes)  # type: ignore[method-assign]

    def _while_it_lives(self, put: Callable[..., Any]) -> Callable[..., Any]:
        async def written(config: Any, *given: Any, **more: Any) -> Any:
            return config if self.killed else await put(config, *given, **more)

        return written


@dataclass(frozen=True, slots=True)
class Runs:
    """Where runs live, and what becomes of them."""

    pairs: tuple[Pair, Pair]
    """Two clients of the same servers: a run that was killed goes on with the other one."""
    store: Callable[[], AbstractAsyncContextManager[Saver]]
    """Opens it for one life."""
    over: Callable[[str], Awaitable[None]]
    """Is told the name of each run that is over."""
    tally: Tally
    seed: int

    async def through(self, name: str, question: Question) -> None:
        """One run to its end."""
        chance = random.Random(f"lives {self.seed} {name}")
        told: dict[int, Any] = {}
        pair = chance.randrange(2)
        for _ in range(_LIVES):
            how, wait = await self._lived(name, question, told, self.pairs[pair], _drawn(chance))
            if how == "ended":
                break
            pair = 1 - pair if how == "killed" else pair
            await asyncio.sleep(wait)
        else:
            self.tally.unended(question)
        self.tally.counts["questions"] += 1
        await self.over(name)

    async def _lived(
        self, name: str, question: Question, told: dict[int, Any], pair: Pair, broken: Broken | None
    ) -> tuple[str, float]:
        """One life: how it ended, and how many seconds later the next one may begin."""
        me = asyncio.current_task()
        assert me is not None
        life = asyncio.create_task(self._alive(name, question, told, pair, broken))
        try:
            state = await life
        except asyncio.CancelledError:
            if broken is None or me.cancelling():
                raise
            self.tally.counts[broken.how] += 1
            return broken.how, 0.0
        except (SpecReasonError, psycopg.OperationalError) as error:
            self.tally.stopped(question, told, error)
            return "stopped", min(getattr(error, "retry_after", None) or 0.1, _WAIT)
        except Exception as error:
            self.tally.failed(question, error)
            return "failed", 0.1
        self.tally.answered(question, told, state)
        return "ended", 0.0

    async def _alive(
        self, name: str, question: Question, told: dict[int, Any], pair: Pair, broken: Broken | None
    ) -> dict[str, Any]:
        """The run's last state. Its steps are told when they are on disk: by updates alone, under `sync`."""
        thread: Any = {"configurable": {"thread_id": name}}
        me = asyncio.current_task()
        assert me is not None
        async with self.store() as saver:
            mortal = Mortal(saver)

            def end() -> None:
                mortal.killed = broken is not None and broken.how == "killed"
                me.cancel()

            graph = create_specreason(pair=pair, settings=question.settings).compile(checkpointer=saver)
            given = None if await saver.aget_tuple(thread) else question.asked
            ends = _when(broken, 0, end)
            try:
                updates = 0
                async for update in graph.astream(given, thread, stream_mode="updates", durability="sync"):
                    for step in _kept(update):
                        told.setdefault(step["index"], step)
                    updates += 1
                    ends = ends or _when(broken, updates, end)
            finally:
                if ends is not None:
                    ends.cancel()
            state: dict[str, Any] = (await graph.aget_state(thread)).values
            return state


def _drawn(chance: random.Random) -> Broken | None:
    which, updates, seconds = chance.random(), chance.randint(0, 8), chance.uniform(0.0, 0.1)
    if which >= _CANCELLED + _KILLED:
        return None
    return Broken("cancelled" if which < _CANCELLED else "killed", updates, seconds)


def _when(broken: Broken | None, updates: int, end: Callable[[], None]) -> asyncio.TimerHandle | None:
    if broken is None or broken.updates != updates:
        return None
    return asyncio.get_running_loop().call_later(broken.seconds, end)


def _kept(update: dict[str, Any]) -> Iterator[Any]:
    for node, changed in update.items():
        if node in ("judge", "regenerate"):
            yield from changed.get("specreason_steps", ())
