"""Speculative decoding inside a paced server, to the millisecond: ratios against it stand on these due times."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import islice

import pytest

from specreason_graph.testing import Decoder, Engine, Pace, Script, ScriptedServer
from specreason_graph.testing.pace import ServerPace

from .clock import later, on_jumping_clock, read
from .conftest import Client

# A text of four places over and over; the first two tokens of each four are proposed right.
DECODER = Decoder(gives=(3, 2, 1, 1), proposed=2, seconds=0.25)


def test_passes_begin_where_the_last_one_ended() -> None:
    """Guards the measured correlation: hard places keep their neighbours, and come again behind the end."""
    assert list(islice(DECODER.passes(0), 4)) == [3, 1, 3, 1]
    assert list(islice(DECODER.passes(5), 4)) == [2, 1, 3, 1]


@pytest.mark.parametrize("gives", [(), (0, 1), (1, 4)])
def test_a_pass_gives_its_own_token_and_some_of_the_proposed(gives: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="gives: a pass that proposes 2 gives 1 to 3 tokens"):
        replace(DECODER, gives=gives)


@pytest.mark.parametrize(
    "server",
    [
        Pace(ttft=1.2, seconds_per_token=1.0, prompt_tokens_per_second=10, decoder=DECODER),
        Engine(step=1.0, round_trip=0.2, prompt_tokens_per_second=10, decoder=DECODER),
    ],
    ids=["ideal", "step-synchronous"],
)
def test_tokens_of_a_pass_come_together_and_the_first_alone(server: ServerPace) -> None:
    """Guards the arithmetic: a prefill of one pass, then passes of 1.25 s from place 8 on that give 3, 1 and 3."""

    async def main() -> list[float]:
        return await read(server.begin(10, 1, place=7), 7)

    first = 0.2 + 1.0 + 1.0
    assert on_jumping_clock(main()) == pytest.approx(
        [first, *[first + 1.25] * 3, first + 2.5, *[first + 3.75] * 2]  # of the last pass's three, two were wanted
    )


def test_each_sequence_of_a_step_gets_its_own_number_of_tokens() -> None:
    """Guards the batch: one step for both, and proposing is paid once."""

    async def main() -> list[list[float]]:
        engine = Engine(step=1.0, per_sequence=0.1, decoder=DECODER)
        return [*await asyncio.gather(read(engine.begin(1, 1, place=3), 5), read(engine.begin(1, 1, place=4), 4))]

    easy, hard = on_jumping_clock(main())
    assert easy == pytest.approx([1.1, *[2.45] * 3, 3.8])
    assert hard == pytest.approx([1.1, *[2.45] * 2, 3.8])


def test_who_only_prefills_pays_for_no_proposals() -> None:
    """Guards the judge: as without a decoder, unless it joins a step that decodes."""

    async def main() -> list[list[float]]:
        engine = Engine(step=1.0, prompt_tokens_per_second=10, decoder=DECODER)
        alone = await read(engine.begin(5, 1), 1)
        return [alone, *await asyncio.gather(read(engine.begin(1, 1), 2), later(0.5, lambda: engine.begin(5, 1), 1))]

    alone, decoded, joined = on_jumping_clock(main())
    assert alone == pytest.approx([1.5])
    assert decoded == pytest.approx([2.6, 4.35])
    assert joined == pytest.approx([4.35])


def test_what_is_proposed_takes_of_the_budget() -> None:
    """Guards the chunks of a prefill beside it: of eight tokens a step, three go to the decoded sequence."""

    async def main() -> list[list[float]]:
        engine = Engine(step=1.0, prompt_tokens_per_second=10, budget=8, decoder=DECODER)
        return [*await asyncio.gather(read(engine.begin(1, 1), 6), later(0.5, lambda: engine.begin(9, 1), 1))]

    decoded, prefilled = on_jumping_clock(main())
    assert decoded == pytest.approx([1.1, *[2.85] * 2, 4.5, 5.75, 5.75])
    assert prefilled == pytest.approx([4.5])


async def test_an_answer_that_ends_within_a_pass_ends_with_it(client: Client) -> None:
    """Guards the next request: a server that learns too late of the last token would make it wait for an idle step."""
    all_at_once = Decoder(gives=(6,), proposed=5, seconds=0.0)
    async with ScriptedServer(Script(["cow " * 200]), pace=Engine(step=0.1, decoder=all_at_once)) as server:
        prompt = await client.opening(server)
        loop = asyncio.get_running_loop()
        for tokens in (7, 6, 4):  # of the pass behind the first token: all, and fewer
            began = loop.time()
            await client.complete(server, prompt, max_tokens=tokens)
            assert 0.2 <= loop.time() - began < 0.28
        assert [record.tokens for record in server.completions] == [7, 6, 4]
