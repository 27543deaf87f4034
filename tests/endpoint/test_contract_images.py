"""What every client must do with images in its prompts, on a scripted server and on a real vision-language model.

Written for any model: that of the tests on real vLLM has random weights.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing

import pytest
from drawings import drawing

from specreason_graph.contract.errors import ContextOverflow, EndpointRefused
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.image import Image
from specreason_graph.endpoint.protocol import Form, Marker, Token

from .contract import GREEDY, Engine, Generated, Opened, collected, scripted, seeing

VLLM = pytest.param("vllm", marks=[pytest.mark.real_vllm, pytest.mark.timeout(900)])
RED, BLUE = drawing("red"), drawing("blue")
LARGE = drawing("red", (900, 900))
"""1089 tokens of a context of 1024."""

LONG = "Tell me what you see in it, and count well. " * 12


@pytest.fixture(scope="module", params=["scripted", "scripted-5", VLLM])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    if request.param == "vllm":
        config = request.getfixturevalue("seeing_pair").base
        with seeing(config.model_copy(update={"full_likelihood": True})) as it:
            yield it
    else:
        tokens = 5 if request.param == "scripted-5" else 1
        yield scripted("a", "instruct", scale_out=True, sees=True, tokens_per_event=tokens)


@pytest.fixture
async def engine(opened: Opened) -> AsyncIterator[Engine]:
    async with opened() as it:
        yield it


async def showing(engine: Engine, *images: Image, question: str = LONG) -> Ids:
    """A question about some images, with the assistant's turn open behind it."""
    rendered = await engine.endpoint.render([{"role": "user", "content": f"HERE{question}"}], {})
    before, _, behind = (await engine.endpoint.decode(rendered)).partition("HERE")
    place = (await engine.endpoint.sight()).place
    first, last = [(await engine.endpoint.encode(text, control=True)).ids for text in (before, behind)]
    return Ids([*first, *place * len(images), *last], images)


def differ(one: Generated, other: Generated) -> bool:
    """Whether a model wrote otherwise, or was otherwise sure of it."""
    return one.ids != other.ids or abs(one.logprobs[0] - other.logprobs[0]) > 1e-4


def values(tokens: Sequence[Token]) -> list[float]:
    return [token.logprob for token in tokens]


async def test_a_model_that_sees_says_what_stands_for_an_image(engine: Engine) -> None:
    """Guards prompts: one placeholder, whatever the template makes of it."""
    sight = await engine.endpoint.sight()
    assert sight.why_not == ""
    assert len(sight.place) == len(set(sight.place)) > 0
    assert "<|image_pad|>" in await engine.endpoint.decode(list(sight.place))


async def test_an_image_takes_its_tokens(engine: Engine) -> None:
    """Guards contexts: a prompt is longer than its ids by what its images take, and what is read is told."""
    prompt = await showing(engine, RED)
    usage = await engine.endpoint.look(prompt)
    assert usage.prompt_tokens == len(prompt) + 12 - 1  # 4 by 3 squares of 28 pixels, and the placeholder is one
    written = await collected(engine.endpoint, prompt, max_tokens=4)
    assert written.end.usage.prompt_tokens == usage.prompt_tokens
    assert (await engine.endpoint.read([prompt])).usage.prompt_tokens == usage.prompt_tokens


async def test_reading_agrees_with_generating(engine: Engine) -> None:
    """Guards the judge: what it reads behind the image is what the model would have written there."""
    prompt = await showing(engine, RED)
    written = await collected(engine.endpoint, prompt, max_tokens=8)
    readings = await engine.endpoint.read([prompt.plus(written.ids[:at]) for at in range(len(written.ids))])
    for reading, token, logprob in zip(readings.items, written.ids, written.logprobs, strict=True):
        assert reading.logprobs[token] == pytest.approx(logprob, abs=engine.tolerance)
        assert len(reading.logprobs) == 20


async def test_a_placeholder_that_a_model_wrote_is_no_image(engine: Engine) -> None:
    """Guards steps in which a model spells one: all that follow have one placeholder more than they have images."""
    prompt = await showing(engine, RED)
    spelled = [*(await engine.endpoint.sight()).place, *prompt[-2:]]
    longer = prompt.plus(spelled)
    hidden = (await engine.endpoint.look(prompt)).prompt_tokens - len(prompt)
    assert (await engine.endpoint.look(longer)).prompt_tokens == len(longer) + hidden
    written = await collected(engine.endpoint, longer, max_tokens=4)
    readings = await engine.endpoint.read([longer.plus(written.ids[:at]) for at in range(len(written.ids))])
    for reading, token, logprob in zip(readings.items, written.ids, written.logprobs, strict=True):
        assert reading.logprobs[token] == pytest.approx(logprob, abs=engine.tolerance)


async def test_another_image_gives_other_values(engine: Engine) -> None:
    """Guards the prefix cache: two prompts of the same ids are two prompts."""
    red, blue = [await showing(engine, image) for image in (RED, BLUE)]
    assert list(red) == list(blue)
    await engine.endpoint.look(red)
    of_red = await collected(engine.endpoint, red, max_tokens=6)
    of_blue = await collected(engine.endpoint, blue, max_tokens=6)
    again = await collected(engine.endpoint, red, max_tokens=6)
    assert values(of_red.tokens) == pytest.approx(values(again.tokens), abs=engine.tolerance)
    assert differ(of_red, of_blue)


async def test_the_prefix_behind_an_image_is_reused(engine: Engine) -> None:
    """Guards the cost of each step: the image and what was written behind it are not computed again."""
    prompt = await showing(engine, drawing("green"))
    usage = await engine.endpoint.look(prompt)
    hidden = usage.prompt_tokens - len(prompt)
    for _ in range(2):
        step = await collected(engine.endpoint, prompt, max_tokens=engine.block + 8)
        cached = step.end.usage.cached_tokens
        assert cached is not None
        assert len(prompt) + hidden - engine.block <= cached <= len(prompt) + hidden
        prompt = prompt.grown(step.ids)


async def test_images_stand_in_their_order(engine: Engine) -> None:
    """Guards questions about several images."""
    both, swapped = await showing(engine, RED, BLUE), await showing(engine, BLUE, RED)
    assert (await engine.endpoint.look(both)).prompt_tokens == len(both) + 2 * (12 - 1)
    first, second = [await collected(engine.endpoint, prompt, max_tokens=6) for prompt in (both, swapped)]
    assert differ(first, second)


async def test_two_at_once_are_as_each_alone(engine: Engine) -> None:
    """Guards overlap: a draft, a hedge and a judge share a server, and each has its own images."""
    prompts = [await showing(engine, RED), await showing(engine, BLUE), await showing(engine, RED)]
    alone = [await collected(engine.endpoint, prompt, max_tokens=12) for prompt in prompts]
    together = await asyncio.gather(*(collected(engine.endpoint, prompt, max_tokens=12) for prompt in prompts))
    for one, two in zip(alone, together, strict=True):
        assert values(one.tokens)[0] == pytest.approx(values(two.tokens)[0], abs=engine.tolerance)
    assert together[0].ids == together[2].ids


async def test_closing_the_iterator_stops_the_server(engine: Engine) -> None:
    """Guards losers of an overlap: a stream that is dropped holds up nobody."""
    prompt = await showing(engine, RED)
    async with aclosing(engine.endpoint.generate(prompt, max_tokens=400, sampling=GREEDY)) as stream:
        assert isinstance(await anext(stream), Token)
    async with asyncio.timeout(10):
        if engine.settled is not None:
            await engine.settled()
        assert (await engine.endpoint.look(prompt)).prompt_tokens > len(prompt)


async def test_stops_and_caps_are_those_of_text(engine: Engine) -> None:
    """Guards steps: where one ends does not depend on the way it was asked for."""
    prompt = await showing(engine, RED)
    whole = await collected(engine.endpoint, prompt, max_tokens=24)
    assert (whole.end.why, len(whole.ids)) == ("length", 24)
    assert whole.text == await engine.endpoint.decode(whole.ids)
    stop = whole.text[12:18]
    written = await collected(engine.endpoint, prompt, max_tokens=24, form=Form(stop=["never written", stop]))
    assert written.end.why == "boundary"
    assert stop in written.text
    assert stop not in written.text.removesuffix(written.tokens[-1].text)
    last = next(token.id for at, token in enumerate(whole.tokens) if at and token.id not in whole.ids[:at])
    closed = await collected(engine.endpoint, prompt, max_tokens=24, close=Marker("", last))
    assert (closed.end.why, closed.end.closing and closed.end.closing[0]) == ("close", last)
    assert closed.ids == whole.ids[: len(closed.ids)]
    chosen = await collected(engine.endpoint, prompt, form=Form(choices=("zebra", "zoo")))
    assert chosen.text in ("zebra", "zoo")


async def test_an_image_that_is_too_large_is_told_as_what_it_is(engine: Engine) -> None:
    """Guards users: it is their image that has to become smaller; nothing else is wrong, and the server lives on."""
    with pytest.raises(ContextOverflow):
        await engine.endpoint.look(await showing(engine, LARGE))
    assert (await engine.endpoint.look(await showing(engine, RED))).prompt_tokens > 0


async def test_what_is_no_image_is_refused(engine: Engine) -> None:
    """Guards the server's life, and ours: what got past our own look at the file is refused, and no run goes on."""
    broken = Image(b"no image", "image/png", 112, 84)
    with pytest.raises(EndpointRefused):
        await engine.endpoint.look(await showing(engine, broken))
    assert (await engine.endpoint.look(await showing(engine, RED))).prompt_tokens > 0


async def test_every_tokens_likelihood_is_that_of_reading_it(engine: Engine) -> None:
    """Guards full_likelihood, whose rows are those of the expanded prompt: each is of the token that it is said of."""
    step = (await engine.endpoint.encode("There are 3 cows with 4 legs each, so 3 * 4 = 11 legs.")).ids
    for longer_by in range(8):  # of the cached rows there is what the memory held, and an answer only if JSON has it
        prompt = await showing(engine, drawing("orange"), question=LONG + "So? " * longer_by)
        await engine.endpoint.look(prompt)
        longer = prompt.plus(step)
        if (likelihood := await engine.endpoint.likelihood(longer)) is not None:
            break
    assert likelihood is not None
    assert len(likelihood.readings) == len(longer)
    places = [at for at in range(len(prompt), len(longer)) if likelihood.readings[at] is not None]
    assert len(places) >= len(step) - 1
    readings = await engine.endpoint.read([Ids(longer[:at], longer.images) for at in places])
    for at, reading in zip(places, readings.items, strict=True):
        whole = likelihood.readings[at]
        assert whole is not None
        assert longer[at] in whole.logprobs
        for token in whole.logprobs.keys() & reading.logprobs.keys():
            assert whole.logprobs[token] == pytest.approx(reading.logprobs[token], abs=engine.tolerance)
