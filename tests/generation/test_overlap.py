"""Look-ahead and hedge: faster, with the same transcript, within their bounds, and gone when they are dropped."""

from __future__ import annotations

import asyncio
import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest
from conftest import Solve

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.protocol import Sampling
from specreason_graph.generation.bill import no_usage
from specreason_graph.generation.passage import Bounds
from specreason_graph.generation.stream import Stream, Wanted
from specreason_graph.testing import Pace, Script, scripted_pair

from .paced import BASE, DRAFT, QUESTION, SCORES, STEPS, base, config, draft, nothing_runs, paced, server

MODES: dict[str, Any] = {
    "in turn": {"look_ahead": False, "hedge": False},
    "look-ahead": {"look_ahead": True, "hedge": False},
    "hedge": {"look_ahead": False, "hedge": True},
    "both": {"look_ahead": True, "hedge": True},
}


@pytest.mark.parametrize("pace", [None, BASE], ids=["at once", "paced"])
@pytest.mark.parametrize("tokenizer", ["a", "b"])
async def test_the_transcript_is_the_same_with_each_on_or_off(solve: Solve, pace: Pace | None, tokenizer: Any) -> None:
    """Exactly: texts, ids, who wrote each step, and what it was judged on."""
    kept = []
    for mode in MODES.values():
        drafts = draft(pace=pace and DRAFT, tokenizer=tokenizer)
        solved = await solve(base(pace=pace), drafts, spots=3, **mode)
        kept.append([(s["text"], s["ids"], s["source"], s["score"], s["spots"]) for s in solved.steps])
        assert solved.state["specreason_answer"] == "72"
    assert [source for _, _, source, *_ in kept[0]] == ["draft" if score > 6 else "base" for score in SCORES]
    assert kept[1:] == kept[:-1]


async def test_the_draft_goes_on_while_base_judges(solve: Solve) -> None:
    """An accepted step needs no request of the draft: the next one is on its way."""
    right = Script(STEPS, answer="72")
    drafts = server(right, pace=Pace(seconds_per_token=0.01))
    solved = await solve(server(right), drafts, look_ahead=True, hedge=False)
    assert [step["source"] for step in solved.steps] == ["draft"] * 8
    assert len(drafts.completions) <= 3  # one, unless the machine was so busy that it ran as far ahead as it may


async def test_a_reject_stops_the_draft_at_once(solve: Solve) -> None:
    """What it had written by then is counted as discarded, and no more of it is generated."""
    solved = await solve(base(pace=BASE), draft(pace=DRAFT), look_ahead=True, hedge=False)
    stopped = [request for request in solved.draft.completions if request.aborted]
    assert len(stopped) >= 3
    usage = solved.state["specreason_usage"]["draft"]
    rejected = sum(step["discarded_tokens"] for step in solved.steps)
    assert usage["discarded_tokens"] > rejected > 0
    assert usage["completion_tokens"] >= usage["discarded_tokens"] + sum(
        len(step["ids"]["base"]) for step in solved.steps if step["source"] == "draft"
    )


async def test_a_rejected_step_is_half_written_by_then(solve: Solve) -> None:
    """The hedge that a reject goes on with began with the draft, so no request follows the verdict."""
    solved = await solve(base(pace=BASE), draft(pace=DRAFT), look_ahead=True, hedge=True)
    written = [request for request in solved.base.completions if request.body["max_tokens"] > 1]
    assert sum(step["source"] == "base" for step in solved.steps) == 3
    assert len(written) <= 8  # a hedge a step at most, and the answer; after a reject, the same one goes on
    assert solved.state["specreason_usage"]["base"]["discarded_tokens"] > 0


async def test_hedges_of_all_runs_have_a_bound() -> None:
    """A busy base server must not pay for them."""
    async with paced() as (servers, pair):
        graph = create_specreason(pair=pair, settings=Settings(hedge=True, hedges=1, look_ahead=False)).compile()
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, pair.live.load.hedges)
                await asyncio.sleep(0.001)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(graph.ainvoke(QUESTION, config()) for _ in range(4)))
        watching.cancel()
        assert most == 1
        await nothing_runs(servers)


async def test_a_dropped_hedge_is_not_counted_over_and_over() -> None:
    """Every node counts the hedges, so those of earlier steps must be gone."""
    async with paced() as (_, pair):
        await create_specreason(pair=pair).compile().ainvoke(QUESTION)
        assert pair.live.load.hedges == 0
        assert len(pair.live) == 0


async def test_a_hedge_that_is_dropped_before_it_began_is_counted_no_more() -> None:
    """Its task never runs, so it can't say itself that it is over."""
    async with paced() as (_, pair):
        ids = Ids((await pair.base.encode("How much is it?")).ids)
        greedy = Sampling(temperature=0, top_p=1, seed=0)
        overlap = pair.live.begin().overlap
        wanted = Wanted(pair.base, ids, greedy, "\n\n", None, 100, room=100, goes_on=True)
        await overlap.begin("base", wanted, hedges=True)
        assert pair.live.load.hedges == 1
        await overlap.drop()
        assert pair.live.load.hedges == 0


async def drafting(pair: Pair, step_tokens: int) -> tuple[Any, Wanted]:
    """An overlap whose draft has run ahead as far as it may."""
    ids = Ids(await pair.draft.render([{"role": "user", "content": "How much is it?"}], {}))
    greedy = Sampling(temperature=0, top_p=1, seed=0)
    wanted = Wanted(pair.draft, ids, greedy, "\n\n", None, step_tokens, room=1000, goes_on=True)
    overlap = pair.live.begin().overlap
    await overlap.begin("draft", wanted)
    await overlap._streams["draft"].stopped()
    return overlap, wanted


async def test_nothing_goes_on_behind_a_step_that_was_cut() -> None:
    """What was written ahead goes on from the whole step, and the ledger holds a part of it."""
    async with paced() as (_, pair):
        overlap, wanted = await drafting(pair, step_tokens=100)
        step = await overlap.step("draft", Bounds(5))
        assert (step["cut"], len(step["ids"])) == (True, 5)
        assert not overlap.goes_on_behind("draft", wanted.ids.plus(step["ids"]))
        await overlap.drop()
        used = overlap.bill.on_top_of(no_usage())["draft"]
        assert used["completion_tokens"] == used["discarded_tokens"] + 5


async def test_what_was_written_ahead_up_to_the_bound_of_a_step_is_taken() -> None:
    """And not written anew."""
    async with paced() as (servers, pair):
        overlap, wanted = await drafting(pair, step_tokens=7)
        assert overlap.goes_on_behind("draft", wanted.ids)
        step = await overlap.step("draft", Bounds(7))
        assert (step["cut"], len(step["ids"])) == (True, 7)
        assert len(servers.draft.completions) == 1


async def test_both_streams_end_where_whoever_drops_them_is_cancelled() -> None:
    async with paced() as (servers, pair):
        overlap, wanted = await drafting(pair, step_tokens=100)
        await overlap.begin("base", replace(wanted, endpoint=pair.base))
        dropping = asyncio.create_task(overlap.drop())
        await asyncio.sleep(0)
        dropping.cancel()
        await asyncio.wait({dropping})
        assert pair.live.load.hedges == 0
        await nothing_runs(servers)


async def test_a_stream_that_was_cut_leaves_nothing_to_the_garbage_collector() -> None:
    """Every accept cuts a hedge: its texts and log-probabilities must not wait in a cycle."""
    async with paced() as (_, pair):
        ids = Ids((await pair.base.encode("How much is it?")).ids)
        greedy = Sampling(temperature=0, top_p=1, seed=0)
        stream = Stream(Wanted(pair.base, ids, greedy, "\n\n", None, step_tokens=100, room=100, goes_on=True))
        await asyncio.sleep(0.05)
        gc.disable()
        try:
            stream.cancel()
            await stream.stopped()
            freed = weakref.ref(stream)
            del stream
            await asyncio.sleep(0)
            assert freed() is None
        finally:
            gc.enable()


@pytest.mark.parametrize("tokens_per_event", [1, 40])
async def test_look_ahead_stops_at_its_bound_however_many_steps_come_in_one_event(tokens_per_event: int) -> None:
    """Two steps wait at most; a bound that is jumped over would have the draft write on to its context's end."""
    short = [f"S{n}: {n}." for n in range(120)]
    judging = server(Script(short), pace=Pace(ttft=0.1), model="base")
    drafting = server(
        Script(short), pace=Pace(seconds_per_token=0.0005), model="draft", tokens_per_event=tokens_per_event
    )
    async with scripted_pair(judging, drafting) as servers, Pair(servers.config) as pair:
        settings = Settings(max_steps=4, hedge=False)
        await create_specreason(pair=pair, settings=settings).compile().ainvoke(QUESTION)
        await nothing_runs(servers)
    assert max(request.tokens for request in drafting.completions) < 90
