"""An engine's rules, on a clock that jumps: what one request costs the others is what the paced benchmark stands on."""

from __future__ import annotations

import asyncio

import pytest

from specreason_graph.testing import Engine, Script, ScriptedServer

from .clock import later, now, on_jumping_clock, read
from .conftest import Client


def test_a_lone_request_costs_its_round_trip_its_prefill_and_a_step_a_token() -> None:
    """Guards the comparison of the two models of a server: alone on it, a request costs the same on both."""

    async def main() -> list[float]:
        return await read(Engine(step=0.02, prompt_tokens_per_second=1000, round_trip=0.002).begin(10, 1), 3)

    assert on_jumping_clock(main()) == pytest.approx([0.032, 0.052, 0.072])


def test_a_prefill_stalls_what_is_decoded_beside_it() -> None:
    """Guards the price of a judge to a hedge: it is longer by the judge's prompt tokens, in one step."""

    async def main() -> list[list[float]]:
        engine = Engine(step=0.02, prompt_tokens_per_second=1000)
        return [*await asyncio.gather(read(engine.begin(1, 1), 4), later(0.03, lambda: engine.begin(50, 1), 1))]

    hedge, judge = on_jumping_clock(main())
    assert hedge == pytest.approx([0.021, 0.041, 0.111, 0.131])  # the third step is the one with the prefill
    assert judge == pytest.approx([0.111])


def test_a_request_joins_at_the_next_boundary() -> None:
    """Guards the judge's waiting time: a step that has begun is not interrupted for it."""

    async def main() -> list[list[float]]:
        engine = Engine(step=1.0, round_trip=0.2)
        return [*await asyncio.gather(read(engine.begin(1, 1), 3), later(1.05, lambda: engine.begin(1, 1), 1))]

    running, joined = on_jumping_clock(main())
    assert running == pytest.approx([1.2, 2.2, 3.2])
    assert joined == pytest.approx([3.2])  # on its way from 1.05 to 1.15, past the boundary at 1.1


def test_each_further_sequence_makes_the_step_longer() -> None:
    """Guards the price of a batch: two requests, one of them with two prompts, are three sequences."""

    async def main() -> list[list[float]]:
        engine = Engine(step=1.0, per_sequence=0.1)
        return [*await asyncio.gather(read(engine.begin(1, 1), 3), read(engine.begin(2, 2), 2))]

    assert on_jumping_clock(main()) == [pytest.approx([1.2, 2.4, 3.4]), pytest.approx([1.2, 2.4])]


def test_a_long_prompt_is_prefilled_in_chunks() -> None:
    """Guards the token budget: a decoded sequence goes first, and goes on between the chunks."""

    async def main() -> list[list[float]]:
        engine = Engine(step=1.0, prompt_tokens_per_second=10, budget=5)
        return [*await asyncio.gather(read(engine.begin(1, 1), 4), later(0.5, lambda: engine.begin(9, 1), 1))]

    decoded, prefilled = on_jumping_clock(main())
    assert decoded == pytest.approx([1.1, 2.5, 3.9, 5.0])  # four prompt tokens, four, and the last one
    assert prefilled == pytest.approx([5.0])


def test_an_abort_frees_its_place_at_the_next_boundary() -> None:
    """Guards the price of a hedge that is dropped: the step that has begun, and no more."""

    async def main() -> list[float]:
        engine = Engine(step=1.0, per_sequence=0.5, round_trip=0.2)
        dropped, running = engine.begin(1, 1), engine.begin(1, 1)
        asyncio.get_running_loop().call_later(2.0, dropped.close)
        return await read(running, 4)

    assert on_jumping_clock(main()) == pytest.approx([1.7, 3.2, 4.2, 5.2])  # dropped at 2.1, after a boundary at 1.6


def test_an_engine_that_ran_dry_starts_again_with_the_next_request() -> None:
    """Guards against steps that are counted while nobody is there."""

    async def main() -> list[list[float]]:
        engine = Engine(step=1.0)
        return [await read(engine.begin(1, 1), 1), await later(4.5, lambda: engine.begin(1, 1), 1)]

    assert on_jumping_clock(main()) == [pytest.approx([1.0]), pytest.approx([6.5])]


async def test_a_server_at_an_engines_pace(client: Client) -> None:
    """Guards the wiring, aborts included: a request can't be faster than its steps, and leaves with its client."""
    async with ScriptedServer(Script(["cow " * 200]), pace=Engine(step=0.01)) as server:
        prompt, began = await client.opening(server), now()
        await client.complete(server, prompt, max_tokens=5)
        assert now() - began >= 0.05
        body = {"prompt": prompt, "max_tokens": 100, "stream": True}
        async with client.session.post(f"{server.url}/v1/completions", json=body) as response:
            await response.content.readuntil(b"\n\n")
        async with asyncio.timeout(30):
            await server.idle()
        whole, aborted = server.completions
        assert whole.ended is not None
        assert aborted.ended is not None
        assert whole.ended - whole.began >= 0.05
        assert aborted.began > whole.ended
        assert aborted.aborted
        assert aborted.tokens < 100
