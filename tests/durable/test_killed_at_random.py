"""kill -9 at random moments, again and again: what was kept stays as it was, and nothing is done or written twice.

SPECREASON_KILLS is the number of kills of each test (`make durable`: 25). A failure names the SPECREASON_SEED that
draws its moments again.
"""

from __future__ import annotations

import os
import random
import secrets
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from .lives import Life, Lives, lives
from .stores import Store
from .worker import Durability

KILLS = int(os.environ.get("SPECREASON_KILLS", "4"))
BY_CHANCE = ("seconds", "spans", "cached_tokens")  # of a step's record: how fast and how warm the servers were


@pytest.mark.timeout(60 + 10 * KILLS)
@pytest.mark.parametrize(
    ("durability", "lag"), [("sync", 0.0), ("async", 0.0), ("async", 0.1)], ids=["sync", "async", "async, slow"]
)
async def test_nothing_is_lost_and_nothing_written_twice(
    store: Store, durability: Durability, lag: float, counted: list[str]
) -> None:
    """A store that is slower than the run may lack the last steps under `async`; it still holds whole ones only."""
    store = replace(store, lag=lag)
    seed = os.environ.get("SPECREASON_SEED") or secrets.token_hex(4)
    print(f"the same moments again: SPECREASON_SEED={seed}")
    chance = random.Random(f"{seed} {store.kind} {durability} {lag}")
    async with lives(store, durability) as them:
        [whole] = await them.run("whole", lambda: None)
        killed: list[Life] = []
        runs, missing = 0, 0
        while len(killed) < KILLS:
            runs += 1
            run = await them.run(f"run {runs}", lambda: chance.uniform(0, whole.seconds))
            killed += run[:-1]
            missing += check(run, whole, durability)
            await check_checkpoints(them, f"run {runs}", run[-1])
        at = ", ".join(f"{node} {times}" for node, times in Counter(life.at for life in killed).most_common())
        counted.append(
            f"{store.kind}, {durability}, {lag:g} s behind: {len(killed)} kills in {runs} runs of "
            f"{whole.seconds:.1f} s ({at}); told but not on disk: {missing} steps"
        )


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_a_run_of_which_nothing_is_saved_begins_anew(store: Store, durability: Durability) -> None:
    """Killed at once: there is nothing to go on from, and the question has to be given again."""
    moments = iter([0.0, None])
    async with lives(store, durability) as them:
        first, last = await them.run("t", lambda: next(moments))
        assert (first.killed, first.at, last.at) == (True, "nothing saved", "done")
        await check_checkpoints(them, "t", last)


def check(run: list[Life], whole: Life, durability: Durability) -> int:
    """Of one run, against one that nobody killed. Returns how many steps were told and had to be made again."""
    end, state = run[-1], run[-1].left.values
    assert [record(step) for step in end.kept] == [record(step) for step in whole.kept]
    assert [step["index"] for step in end.kept] == list(range(len(end.kept)))
    assert [(it.type, it.text) for it in state["messages"]] == [("human", "How much is it?"), ("ai", "72")]
    missing = 0
    for life in run:
        assert life.kept == end.kept[: len(life.kept)]  # to the last digit: not made again with the same text
        missing += len({*life.told} - {*range(len(life.kept))})
    assert missing == 0 or durability == "async"
    for life, after in pairwise(run):
        check_asks_for_what_is_missing(life, after)
    asked = [request for life in run for request in life.asked]
    if durability == "sync":  # a kill costs one node at most
        judged = sum(request.role == "judge" for request in asked)
        assert judged <= whole.left.values["specreason_usage"]["judge"]["requests"] + len(run) - 1
    usage, unkilled = state["specreason_usage"], whole.left.values["specreason_usage"]
    for count in ("requests", "prompt_tokens", "completion_tokens"):
        assert usage["judge"][count] == unkilled["judge"][count]
    for role, used in usage.items():
        assert used["completion_tokens"] <= sum(request.tokens for request in asked if request.role == role)
    return missing


def check_asks_for_what_is_missing(life: Life, after: Life) -> None:
    """No request for a step that is kept, a draft that is waiting, or a verdict that is known."""
    kept, pending = len(life.kept), life.left.values.get("specreason_pending")
    known = {"base": kept, "draft": kept + bool(pending), "judge": kept + bool(pending and pending["verdict"])}
    for request in after.asked:
        assert request.step >= known[request.role], f"{request.role} was asked again, killed at {life.at}"


async def check_checkpoints(them: Lives, name: str, end: Life) -> None:
    """Each super-step has one checkpoint, and each step one that it is new in."""
    history = await them.history(name)
    assert [it.metadata and it.metadata["step"] for it in history] == list(range(-1, len(history) - 1))
    kept = [it.values.get("specreason_steps", []) for it in history]
    assert all(steps == end.kept[: len(steps)] for steps in kept)
    assert {len(after) - len(before) for before, after in pairwise(kept)} == {0, 1}


def record(step: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in step.items() if name not in BY_CHANCE}
