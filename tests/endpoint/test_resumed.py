"""A stream that breaks goes on from the tokens that are there, whatever it breaks with and wherever."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from specreason_graph.contract.errors import EndpointFailed, EndpointTimeout, TruncatedResponse
from specreason_graph.endpoint import Endpoint, connect
from specreason_graph.endpoint.protocol import Form, Marker, Sampling, Usage
from specreason_graph.testing import Fault, Script, ScriptedServer

from .contract import Generated, collected
from .fakes import ASKED, STEPS, llama
from .test_llamacpp import EVENT, LAST

SCHEMA = {"type": "object", "properties": {"legs": {"type": "integer"}}, "required": ["legs"]}
WAYS: dict[str, dict[str, Any]] = {
    "boundary": {"boundary": "\n\n"},
    "stop": {"form": Form(stop=["legs:\n", "!"])},
    "close": {},
    "cap": {"max_tokens": 17},
}


def server(**options: Any) -> ScriptedServer:
    return ScriptedServer(Script(STEPS, answer="12"), template="think", **options)


@pytest.fixture
async def whole() -> AsyncIterator[ScriptedServer]:
    async with server(tokenizer="b") as it:
        yield it


async def begun(it: ScriptedServer, **changes: Any) -> tuple[Endpoint, list[int], Marker]:
    endpoint = connect("base", it.config.model_copy(update=changes))
    close = Marker("</think>", (await endpoint.encode("</think>", control=True)).ids[0])
    return endpoint, await endpoint.render(ASKED, {}), close


async def broken(it: ScriptedServer, fault: Fault, **asked: Any) -> Generated:
    """A generation of a server with this fault, by a client that knows no spelling yet."""
    endpoint, prompt, close = await begun(it, timeout=0.7 if fault.kind == "hang" else 20.0)
    it.fail(fault)
    try:
        return await collected(endpoint, prompt, close=close, **asked)
    finally:
        await endpoint.aclose()


@pytest.mark.parametrize("tokens_per_event", [1, 5])
@pytest.mark.parametrize("way", WAYS)
async def test_a_broken_generation_is_that_of_a_whole_one(
    whole: ScriptedServer, way: str, tokens_per_event: int
) -> None:
    """Guards steps: ids, log-probabilities, texts and why it ended, broken at each place: inside a character, inside
    a boundary, behind the last token."""
    endpoint, prompt, close = await begun(whole)
    expected = await collected(endpoint, prompt, close=close, **WAYS[way])
    await endpoint.aclose()
    count = len(expected.ids)
    assert count > 5
    async with server(tokenizer="b", tokens_per_event=tokens_per_event) as it:
        for after in range(1, count + 3):
            found = await broken(it, Fault("close", after=after), **WAYS[way])
            assert (found.tokens, found.end.why, found.end.closing) == (
                expected.tokens,
                expected.end.why,
                expected.end.closing,
            ), after


@pytest.mark.parametrize(
    "fault", [Fault("end", after=9), Fault("malformed", after=9), Fault("status", after=9), Fault("hang", after=9)]
)
async def test_it_goes_on_whatever_it_broke_with_and_pays_for_both(fault: Fault) -> None:
    """Guards runs and their bills: the second request reads the prompt and the tokens that were there."""
    async with server() as it:
        found = await broken(it, fault, boundary="\n\n")
        first, second = it.completions
    prompt, there = len(first.prompts[0]), len(second.prompts[0]) - len(first.prompts[0])
    assert found.text == f"{STEPS[0]}\n\n"
    assert 0 < there <= 9
    assert second.prompts[0] == [*first.prompts[0], *found.ids[:there]]
    assert second.body["max_tokens"] == first.body["max_tokens"] - there
    assert found.end.usage == Usage(2 * prompt + there, None, 9 + second.tokens)


async def test_sampling_goes_on_with_another_seed() -> None:
    """Guards randomness: one seed would draw the first tokens' noise once more."""
    async with server() as it:
        await broken(it, Fault("end", after=4), sampling=Sampling(temperature=0.6, top_p=0.95, seed=11))
        seeds = [record.body["seed"] for record in it.completions]
    assert seeds[0] == 11
    assert len(set(seeds)) == 2


async def test_it_breaks_so_often_and_no_more() -> None:
    """Guards servers against a client that reads the same prompt for ever."""
    async with server() as it:
        endpoint, prompt, close = await begun(it)
        it.fail(Fault("end", after=2), times=None)
        with pytest.raises(TruncatedResponse):
            await collected(endpoint, prompt, close=close)
        await endpoint.aclose()
    assert len(it.completions) == 5


async def test_a_server_that_broke_is_not_asked_once_more() -> None:
    """Guards engines: what killed one would kill it again."""
    async with server() as it:
        with pytest.raises(EndpointFailed):
            await broken(it, Fault("status", status=500, after=4))
    assert len(it.completions) == 1


async def test_silence_before_the_first_token_is_an_error() -> None:
    """Guards runs against waiting a timeout again and again: nothing says that the server is there."""
    async with server() as it:
        with pytest.raises(EndpointTimeout):
            await broken(it, Fault("hang", after=0))
    assert len(it.completions) == 1


async def test_an_answer_with_a_schema_begins_anew_or_not_at_all() -> None:
    """Guards structured answers: a server that goes on in the middle of one holds it to the schema's beginning."""
    async with server() as it:
        found = await broken(it, Fault("close", after=0), form=Form(schema=SCHEMA))
        assert (found.text, len(it.completions)) == ('{"legs": 0}', 2)
        with pytest.raises(TruncatedResponse):
            await broken(it, Fault("end", after=3), form=Form(schema=SCHEMA))
    assert len(it.completions) == 3


async def test_it_goes_on_at_llama_cpp_too() -> None:
    """One place, whatever the dialect; what a server was still holding back is written once more."""
    asked: list[tuple[list[int], int]] = []

    async def completion(request: web.Request) -> list[dict[str, Any]]:
        body = await request.json()
        asked.append((body["prompt"], body["n_predict"]))
        ids = [2, 3] if len(asked) == 1 else [3, 4]
        events = [
            EVENT | {"tokens": [token], "tokens_predicted": at, "content": "" if at == 2 else chr(token + 95)}
            for at, token in enumerate(ids, 1)
        ]
        return events if len(asked) == 1 else [events[0], LAST | {"stop_type": "eos"}]

    async def spelled(request: web.Request) -> dict[str, Any]:
        _, *ids = (await request.json())["tokens"]
        return {"content": "A" + "".join(chr(token + 95) for token in ids)}

    async with llama({"/completion": completion, "/detokenize": spelled}) as config:
        endpoint = connect("base", config)
        found = await collected(endpoint, [1], max_tokens=10)
        await endpoint.aclose()
    assert (found.text, found.ids, found.end.why) == ("ab", [2, 3], "end_of_turn")
    assert asked == [([1], 10), ([1, 2], 9)]


@pytest.mark.parametrize("said", ["a<end>b", "<end>b", "ab<e<end>", "<<end>"])
async def test_a_stop_of_several_tokens_is_found_wherever_it_breaks(said: str) -> None:
    """Guards long stops at the beginning of an answer, of which a server that goes on sees the rest only."""
    begin = said.index("<end>")
    for after in range(begin + 1, begin + 5):
        rest = [said[:after], said[after:]]

        async def completion(request: web.Request, rest: list[str] = rest) -> list[dict[str, Any]]:
            return [
                EVENT | {"tokens": [ord(one)], "tokens_predicted": at, "content": one}
                for at, one in enumerate(rest.pop(0), 1)
            ]

        async def spelled(request: web.Request) -> dict[str, Any]:
            return {"content": "".join(map(chr, (await request.json())["tokens"]))}

        async with llama({"/completion": completion, "/detokenize": spelled}) as config:
            endpoint = connect("base", config)
            found = await collected(endpoint, [1], form=Form(stop=["<end>", "!"]))
            await endpoint.aclose()
        assert (found.text, found.end.why) == (said[: begin + 5], "boundary"), after
