"""Events of several tokens must say what events of one say: a client that reads them is tested against nothing else."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import aiohttp
import pytest

from specreason_graph.testing import Fault, Pace, Script, ScriptedServer, scripted_pair
from specreason_graph.testing.fault import FaultKind
from specreason_graph.testing.tokenizer import TokenizerName

from .conftest import Client

THOUGHTS = Script(["There are 3 cows 🙂🙂.", "So 3 * 4 = 12 legs:", "Da sind 12 Füße."], answer="你好: 12.\n\nDone.")
CLOSE = "</think>"
WITH_IDS = {"logprobs": 1, "return_tokens_as_token_ids": True}
SIZES = pytest.mark.parametrize(("size", "seed"), [(5, 0), (3, 0), (100, 0), *((0, seed) for seed in range(8))])


def thinking(size: int, seed: int = 0, **options: Any) -> ScriptedServer:
    return ScriptedServer(THOUGHTS, template="think", tokens_per_event=size, event_seed=seed, **options)


async def choices(client: Client, server: ScriptedServer, prompt: list[int] | list[list[int]], **body: Any) -> Any:
    """The one choice of each event of a stream."""
    events = [json.loads(event) for event in (await client.events(server, prompt, **WITH_IDS, **body))[:-1]]
    assert all(len(event["choices"]) == 1 for event in events)
    return [event["choices"][0] for event in events]


def cuts(said: Any) -> list[int]:
    """How many tokens each event carries."""
    return [len(choice["logprobs"]["tokens"]) for choice in said]


def together(said: Any) -> dict[str, Any]:
    """What the events of a stream say together."""
    *before, last = said
    assert all((choice["finish_reason"], choice["stop_reason"]) == (None, None) for choice in before)
    lists = {
        name: [value for choice in said for value in choice["logprobs"][name]]
        for name in ("tokens", "token_logprobs", "top_logprobs")
    }
    text = "".join(choice["text"] for choice in said)
    return lists | {"text": text, "finish_reason": last["finish_reason"], "stop_reason": last["stop_reason"]}


@SIZES
@pytest.mark.parametrize("tokenizer", ["a", "b"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"max_tokens": 13},
        {"stop": ["\n\n"], "include_stop_str_in_output": True},
        {"stop": ["12 legs", "a long one that never comes"]},
        {"stop_close": True, "include_stop_str_in_output": True},
        {"stop_close": True},
    ],
    ids=["to the end", "capped", "stop kept", "stop held back", "close kept", "close left out"],
)
async def test_joined_events_say_the_same(
    client: Client, tokenizer: TokenizerName, body: dict[str, Any], size: int, seed: int
) -> None:
    """Guards every reader of streams: ids, text, log-probabilities, finish and usage do not depend on the cuts."""
    answers = []
    for server in (thinking(1, tokenizer=tokenizer), thinking(size, seed, tokenizer=tokenizer)):
        async with server:
            close = server.model.tokenizer.id(CLOSE)
            asked = {name: value for name, value in body.items() if name != "stop_close"}
            asked |= {"stop_token_ids": [close]} if "stop_close" in body else {}
            asked |= {"stream_options": {"include_usage": True}, **WITH_IDS}
            raw = await client.events(server, await client.opening(server), **asked)
            *said, usage = [json.loads(event) for event in raw[:-1]]
            assert raw[-1] == "[DONE]"
            answers.append((together([event["choices"][0] for event in said]), usage["choices"], usage["usage"]))
            assert server.completions[0].complete
    assert answers[0] == answers[1]


async def test_an_event_carries_as_many_tokens_as_were_asked_for(client: Client) -> None:
    """Guards the number itself: all events are full but the last, and each has one entry a token in all lists."""
    async with thinking(5) as server:
        said = await choices(client, server, await client.opening(server))
        *full, last = cuts(said)
        assert len(full) > 3
        assert set(full) == {5}
        assert 1 <= last <= 5
        for choice in said:
            assert len({len(values) for values in choice["logprobs"].values()}) == 1


async def test_drawn_cuts_are_repeatable(client: Client) -> None:
    """Guards failing tests that must fail again: cuts depend on the two seeds, and not on what runs beside it."""
    found = []
    for seed in (0, 0, 1):
        async with thinking(0, seed) as server:
            prompt = await client.opening(server)
            alone = cuts(await choices(client, server, prompt))
            beside = await asyncio.gather(*(choices(client, server, prompt, seed=i % 2) for i in range(10)))
            found.append([alone, *map(cuts, beside)])
    assert found[0] == found[1] != found[2]
    alone, *beside = found[0]
    assert len(set(alone)) > 2
    assert set(alone) <= set(range(1, 9))
    assert {tuple(beside[i]) for i in range(0, 10, 2)} == {tuple(beside[0])}
    assert tuple(beside[0]) != tuple(beside[1])


async def test_drawn_cuts_fall_in_all_the_hard_places(client: Client) -> None:
    """Guards the worth of the drawn sizes: inside a character, inside a boundary, and on both sides of the close."""
    hard = set()
    for seed in range(12):
        async with thinking(0, seed, tokenizer="b") as server:
            said = await choices(client, server, await client.opening(server))
            spelling = server.model.tokenizer.spelling
        ids = [int(token.removeprefix("token_id:")) for token in together(said)["tokens"]]
        for cut in itertools.accumulate(cuts(said)[:-1]):
            before, behind = spelling[ids[cut - 1]], spelling[ids[cut]]
            hard |= {"character"} if 0x80 <= behind[0] < 0xC0 else set()
            hard |= {"boundary"} if before == behind == b"\n" else set()
            hard |= {"before close"} if behind == CLOSE.encode() else set()
            hard |= {"behind close"} if before == CLOSE.encode() else set()
    assert hard == {"character", "boundary", "before close", "behind close"}


@pytest.mark.parametrize("size", [1, 5, 0])
async def test_an_event_belongs_to_one_prompt(client: Client, size: int) -> None:
    """Guards streams of several prompts: by index, each is said as it is alone."""
    async with thinking(size) as server:
        prompts = [await client.opening(server, question) for question in ("1?", "How many legs?")]
        prompts.append([*prompts[0], *server.model.tokenizer.encode("There are 3")])
        said = await choices(client, server, prompts)
        alone = [together(await choices(client, server, prompt)) for prompt in prompts]
    assert [together([c for c in said if c["index"] == index]) for index in range(3)] == alone


@pytest.mark.parametrize(("after", "carried"), [(0, []), (3, [3]), (5, [5]), (7, [5, 2])])
async def test_a_stream_ends_early_behind_its_tokens(client: Client, after: int, carried: list[int]) -> None:
    """Guards the place of a fault: exactly so many tokens arrive before it, whatever events they come in."""
    async with thinking(5) as server:
        server.fail(Fault("end", after=after))
        events = [json.loads(event) for event in await client.events(server, [5], **WITH_IDS)]
        assert cuts([event["choices"][0] for event in events]) == carried
        assert server.completions[0].tokens == after


async def test_a_fault_counts_the_tokens_of_all_prompts(client: Client) -> None:
    """Guards faults in streams of several prompts: what they wait for is sent, in the order of the prompts."""
    async with thinking(5) as server:
        server.fail(Fault("end", after=7))
        events = [json.loads(event) for event in await client.events(server, [[5], [6]], **WITH_IDS)]
        said = [event["choices"][0] for event in events]
        assert [(choice["index"], len(choice["logprobs"]["tokens"])) for choice in said] == [(0, 4), (1, 3)]


@pytest.mark.parametrize("kind", ["status", "malformed", "close", "hang"])
async def test_faults_strike_between_joined_events(client: Client, kind: FaultKind) -> None:
    """Guards tests of streams that break: after seven tokens in events of five, each kind is what it was."""
    async with thinking(5) as server:
        server.fail(Fault(kind, after=7))
        body = {"prompt": [5], "max_tokens": 100, "stream": True, **WITH_IDS}
        async with client.session.post(f"{server.url}/v1/completions", json=body) as response:
            said = [json.loads((await response.content.readuntil(b"\n\n"))[6:])["choices"][0] for _ in range(2)]
            assert cuts(said) == [5, 2]
            if kind == "status":
                assert json.loads((await response.text())[6:])["error"]["code"] == 503
            elif kind == "malformed":
                assert (await response.text()).strip() == 'data: {"choices": ['
            elif kind == "close":
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.text()
            else:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await response.text()


async def test_an_event_is_sent_when_its_last_token_is_due(client: Client) -> None:
    """Guards the pace: joining tokens makes none of them earlier, and the last one no later."""
    async with ScriptedServer(
        Script(["cow " * 200]), pace=Pace(ttft=0.01, seconds_per_token=0.01), tokens_per_event=5
    ) as server:
        clock = asyncio.get_running_loop().time
        body = {"prompt": await client.opening(server), "max_tokens": 12, "stream": True}
        began = clock()
        async with client.session.post(f"{server.url}/v1/completions", json=body) as response:
            came = []
            while b"[DONE]" not in await response.content.readuntil(b"\n\n"):
                came.append(clock() - began)
    assert len(came) == 3
    assert all(at >= due for at, due in zip(came, [0.05, 0.1, 0.12], strict=True))
    assert came[-1] < 0.4


async def test_a_cut_frees_the_server_between_events(client: Client) -> None:
    """Guards cuts: a client that leaves while an event fills up stops the generation, too."""
    async with ScriptedServer(Script(["cow " * 200]), pace=Pace(seconds_per_token=0.05), tokens_per_event=50) as server:
        prompt = await client.opening(server)
        asking = asyncio.create_task(client.events(server, prompt))
        async with asyncio.timeout(30):
            while not server.running:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.001)
        asking.cancel()
        await asyncio.wait({asking})
        async with asyncio.timeout(30):
            await server.idle()
        assert server.completions[0].aborted
        assert server.completions[0].tokens < 50


def test_a_negative_number_is_refused() -> None:
    """Guards against a typo that would mean nothing."""
    with pytest.raises(ValueError, match="tokens_per_event must be 0 or more, not -1"):
        thinking(-1)


async def test_a_pair_may_join_its_tokens(client: Client) -> None:
    """Guards whole runs on such servers: each of the two keeps its own number."""
    async with scripted_pair(thinking(5), thinking(2), preset="mine") as pair:
        said = [cuts(await choices(client, server, [5], max_tokens=7)) for server in (pair.base, pair.draft)]
        assert said == [[5, 2], [2, 2, 2, 1]]
