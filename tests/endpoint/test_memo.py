"""Look-ups: one flight for all who wait, failures told to each and kept for none."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from specreason_graph.contract.errors import EndpointBusy, EndpointRefused, SpecReasonError
from specreason_graph.endpoint.memo import Memo


class LookUp:
    """Something slow that counts how often it is asked, and fails as often as told."""

    def __init__(self, *, failures: int = 0) -> None:
        self.begun = 0
        self.ready = asyncio.Event()
        self.failures = failures

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        await self.ready.wait()
        if number <= self.failures:
            raise EndpointRefused("no", 404)
        return number


async def test_all_who_wait_share_one_flight() -> None:
    memo, look_up = Memo[str, int](), LookUp()
    waiting = [asyncio.create_task(memo.get("a", look_up)) for _ in range(50)]
    await asyncio.sleep(0)
    look_up.ready.set()
    assert await asyncio.gather(*waiting) == [1] * 50
    assert await memo.get("a", look_up) == 1
    assert (look_up.begun, "a" in memo, memo.known("a")) == (1, True, 1)


async def test_a_first_caller_that_is_cancelled_fails_nobody_else() -> None:
    """Guards runs beside one that is stopped: they waited for its look-up."""
    memo, look_up = Memo[str, int](), LookUp()
    first, other = (asyncio.create_task(memo.get("a", look_up)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    look_up.ready.set()
    assert await other == 1
    with pytest.raises(asyncio.CancelledError):
        await first
    assert look_up.begun == 1


async def test_a_flight_that_nobody_waits_for_is_cancelled() -> None:
    """Guards deadlines: a request of a run that is over must not go on, and the next run asks anew."""
    memo, look_up = Memo[str, int](), LookUp()
    only = asyncio.create_task(memo.get("a", look_up))
    await asyncio.sleep(0)
    only.cancel()
    await asyncio.wait([only])
    again = asyncio.create_task(memo.get("a", look_up))
    await asyncio.sleep(0)
    look_up.ready.set()
    assert await again == 2
    assert (memo.known("a"), look_up.begun) == (2, 2)
    assert len(asyncio.all_tasks()) == 1


async def test_a_failure_that_stays_is_told_to_all_and_not_kept() -> None:
    """Guards servers: those who waited ask once more, and together."""
    memo, look_up = Memo[str, int](), LookUp(failures=2)
    look_up.ready.set()
    told = await asyncio.gather(*(memo.get("a", look_up) for _ in range(9)), return_exceptions=True)
    assert [type(error) for error in told] == [EndpointRefused] * 9
    assert look_up.begun == 2
    assert "a" not in memo
    assert not memo._flights
    assert await memo.get("a", look_up) == 3


async def test_one_answer_that_went_wrong_fails_one_caller() -> None:
    """Guards runs that begin together: one bad answer must not stop all of them."""
    memo, look_up = Memo[str, int](), LookUp(failures=1)
    look_up.ready.set()
    told = await asyncio.gather(*(memo.get("a", look_up) for _ in range(9)), return_exceptions=True)
    assert [type(it) for it in told] == [EndpointRefused] + [int] * 8
    assert look_up.begun == 2


async def test_what_was_tried_for_long_is_not_tried_again() -> None:
    """Guards patience: a busy server was asked for as long as it says, and a silent one for a timeout."""
    memo, asked = Memo[str, int](), 0

    async def busy() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        raise EndpointBusy("busy", 429)

    told = await asyncio.gather(*(memo.get("a", busy) for _ in range(9)), return_exceptions=True)
    assert [type(error) for error in told] == [EndpointBusy] * 9
    assert asked == 1


async def test_each_caller_has_a_failure_of_its_own() -> None:
    """Guards runs: each writes its own steps into the error that ended it, and shows it to its own user."""
    memo, look_up = Memo[str, int](), LookUp(failures=2)
    look_up.ready.set()
    one, other = await asyncio.gather(*(memo.get("a", look_up) for _ in range(2)), return_exceptions=True)
    assert isinstance(one, EndpointRefused)
    assert isinstance(other, EndpointRefused)
    one.steps.append("mine")
    assert other.steps == []
    assert (str(one), one.status, one.__traceback__ is not None) == ("no", 404, True)


async def test_a_failure_that_nobody_waits_for_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    memo, look_up = Memo[str, int](), LookUp(failures=1)
    only = asyncio.create_task(memo.get("a", look_up))
    await asyncio.sleep(0)
    only.cancel()
    look_up.ready.set()
    await asyncio.wait([only])
    await asyncio.sleep(0)
    assert "a" not in memo
    assert not caplog.records


async def test_what_came_without_asking_is_kept_and_the_first_counts() -> None:
    memo, look_up = Memo[str, int](), LookUp()
    memo.keep("a", 7)
    memo.keep("a", 8)
    assert await memo.get("a", look_up) == 7
    assert not look_up.begun


async def test_what_comes_while_it_is_looked_up_is_what_all_get() -> None:
    """Guards texts: two answers to one question must not both be in use."""
    memo, look_up = Memo[str, int](), LookUp()
    waiting = asyncio.create_task(memo.get("a", look_up))
    await asyncio.sleep(0)
    memo.keep("a", 7)
    look_up.ready.set()
    assert await waiting == await memo.get("a", look_up) == 7


def test_loops_in_several_threads_may_share_it() -> None:
    """Guards synchronous runs, each in a loop of its own: none waits for a flight of another loop."""
    memo, found, together = Memo[int, int](), [list[int]() for _ in range(4)], threading.Barrier(4)

    async def look_up() -> int:
        await asyncio.sleep(0)
        return 5

    async def many(mine: list[int]) -> None:
        together.wait()
        for key in range(200):
            mine += await asyncio.gather(*(memo.get(key, look_up) for _ in range(3)))

    threads = [threading.Thread(target=lambda mine=mine: asyncio.run(many(mine))) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[5] * 600] * 4


def test_a_loop_that_ends_in_a_flight_leaves_nothing_behind() -> None:
    """Guards the next `asyncio.run`, and memory: a flight holds its loop."""
    memo, look_up = Memo[str, int](), LookUp()

    async def left() -> None:
        task = asyncio.create_task(memo.get("a", look_up))
        await asyncio.sleep(0)
        assert not task.done()

    asyncio.run(left())
    assert not memo._flights

    async def again() -> int:
        return await memo.get("a", at_once)

    async def at_once() -> int:
        return 3

    assert asyncio.run(again()) == 3


@pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio has no eager tasks before")
async def test_an_eager_loop_keeps_no_failure() -> None:
    """Guards loops whose tasks begin at once: a look-up may be over before its flight is written down."""
    memo: Memo[str, int] = Memo()
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]

    async def failing() -> int:
        raise SpecReasonError("no")

    async def at_once() -> int:
        return 3

    with pytest.raises(SpecReasonError):
        await memo.get("a", failing)
    assert not memo._flights
    assert await memo.get("a", at_once) == 3
    assert not memo._flights
