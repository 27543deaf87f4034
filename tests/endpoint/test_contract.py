"""What every client must do, whatever engine is behind it: the graph relies on each of these.

Written for any greedy model: nothing here knows a script.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, aclosing, nullcontext

import pytest
from pydantic import SecretStr

from specreason_graph.contract.errors import ContextOverflow, EndpointError, EndpointRefused
from specreason_graph.endpoint import connect
from specreason_graph.endpoint.protocol import FREE, Chunk, End, Form, Marker, Sampling

from .contract import MATHS, SHORT, UNICODE, Engine, Opened, llamacpp, scripted, vllm

GREEDY = Sampling(temperature=0.0, top_p=1.0, seed=0)

SCRIPTED = {
    "a-instruct": scripted("a", "instruct"),
    "a-think": scripted("a", "think"),
    "b-instruct": scripted("b", "instruct"),
    "b-qwen3": scripted("b", "qwen3"),
}
LLAMACPP = pytest.param("llamacpp", marks=pytest.mark.real_models)
VLLM = pytest.param("vllm", marks=[pytest.mark.real_vllm, pytest.mark.timeout(400)])


@pytest.fixture(scope="module", params=[*SCRIPTED, LLAMACPP, VLLM])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    engine: AbstractContextManager[Opened]
    if request.param == "llamacpp":
        engine = llamacpp()
    elif request.param == "vllm":
        engine = vllm(request.getfixturevalue("vllm_pair").base)
    else:
        engine = nullcontext(SCRIPTED[request.param])
    with engine as it:
        yield it


@pytest.fixture
async def engine(opened: Opened) -> AsyncIterator[Engine]:
    async with opened() as it:
        yield it


async def asked(engine: Engine, question: str = MATHS) -> list[int]:
    return (await engine.endpoint.render([{"role": "user", "content": question}], {})).ids


async def generated(
    engine: Engine,
    prompt: list[int],
    *,
    max_tokens: int = 200,
    boundary: str | None = None,
    close: Marker | None = None,
    form: Form = FREE,
) -> tuple[str, list[int], list[float], End]:
    """A whole generation, its chunks checked on the way."""
    chunks: list[Chunk] = []
    stream = engine.endpoint.generate(
        prompt, max_tokens=max_tokens, sampling=GREEDY, boundary=boundary, close=close, form=form
    )
    async with aclosing(stream):
        async for chunk in stream:
            chunks.append(chunk)
    assert [chunk.end is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert all(len(chunk.ids) == len(chunk.logprobs) for chunk in chunks)
    ids = [token for chunk in chunks for token in chunk.ids]
    logprobs = [logprob for chunk in chunks for logprob in chunk.logprobs]
    assert all(logprob <= 0 for logprob in logprobs)
    end = chunks[-1].end
    assert end is not None
    return "".join(chunk.text for chunk in chunks), ids, logprobs, end


async def control(engine: Engine, text: str) -> int:
    (token,) = (await engine.endpoint.encode(text, control=True)).ids
    return token


async def test_the_card_names_the_model(engine: Engine) -> None:
    """Guards budgets, which are bounded by the context."""
    card = await engine.endpoint.card()
    assert card.name
    assert card.context >= 512
    assert await engine.endpoint.card() == card


async def test_a_rendered_question_opens_the_assistants_turn(engine: Engine) -> None:
    """Guards raw continuation, and resume: rendering again gives the same ids."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": MATHS}]
    rendered = await engine.endpoint.render(messages, {})
    _, found, opening = rendered.text.rpartition(MATHS)
    assert found
    assert "assistant" in opening
    assert await engine.endpoint.render(messages, {}) == rendered
    assert (await engine.endpoint.encode(rendered.text, control=True)).ids == rendered.ids


async def test_what_stands_behind_an_assistants_turn_can_be_derived(engine: Engine) -> None:
    """Guards the judge's request, whose chat markup is what the template puts behind a sentinel."""
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "SENTINEL"},
        {"role": "user", "content": "Score it."},
    ]
    rendered = await engine.endpoint.render(messages, {})
    _, found, behind = rendered.text.rpartition("SENTINEL")
    assert found
    assert "Score it." in behind


async def test_no_text_is_no_ids(engine: Engine) -> None:
    """Guards ledgers against BOS tokens in the middle."""
    assert (await engine.endpoint.encode("")).ids == []


@pytest.mark.parametrize("text", ["3 * 4 = 12 legs.\n\n", " So, the\n  total is 20.", "x"])
async def test_widths_are_the_bytes_of_the_text(engine: Engine, text: str) -> None:
    """Guards spots mapped between two tokenizers by offset."""
    encoded = await engine.endpoint.encode(text)
    assert len(encoded.widths) == len(encoded.ids) > 0
    assert sum(encoded.widths) == len(text.encode())


async def test_widths_hold_beyond_ascii(engine: Engine) -> None:
    """Guards the same where a token is a part of a character."""
    text = "naïve 你好 🙂"
    assert sum((await engine.endpoint.encode(text)).widths) == len(text.encode())


async def test_spelled_control_tokens_stay_text(engine: Engine) -> None:
    """Guards ledgers: a step that spells a control token must not end a turn."""
    token = await control(engine, "<|im_end|>")
    encoded = await engine.endpoint.encode("The token <|im_end|> ends a turn.")
    assert token not in encoded.ids
    assert sum(encoded.widths) == len("The token <|im_end|> ends a turn.")


async def test_a_generation_stops_at_the_boundary(engine: Engine) -> None:
    """Guards steps: the boundary is the end of the text, and the next request goes on behind it."""
    prompt = await asked(engine)
    text, ids, _, end = await generated(engine, prompt, boundary="\n\n")
    assert (end.why, end.closing) == ("boundary", None)
    assert text.endswith("\n\n")
    assert text.count("\n\n") == 1
    assert end.usage.completion_tokens >= len(ids) > 0
    assert end.usage.prompt_tokens == len(prompt)
    following, _, _, _ = await generated(engine, [*prompt, *ids], boundary="\n\n")
    assert following.strip()
    assert following != text


async def test_ids_and_text_are_the_same_tokens(engine: Engine) -> None:
    """Guards ledgers of ids beside texts for the other model: the text, encoded anew, is those ids again."""
    text, ids, _, _ = await generated(engine, await asked(engine), boundary="\n\n")
    again = (await engine.endpoint.encode(text.rstrip("\n"), control=True)).ids
    assert len(again) <= len(ids)
    assert again[:-1] == ids[: len(again) - 1]  # the last may hold the boundary, too


async def test_the_cap_is_exact(engine: Engine) -> None:
    """Guards budgets in tokens."""
    _, ids, _, end = await generated(engine, await asked(engine), max_tokens=7)
    assert (end.why, end.closing, len(ids), end.usage.completion_tokens) == ("length", None, 7, 7)


async def test_the_end_of_turn_is_told_and_kept_out(engine: Engine) -> None:
    """Guards ledgers: an end of turn in the middle would end the model's turn there."""
    text, ids, _, end = await generated(engine, await asked(engine, SHORT))
    token = await control(engine, "<|im_end|>")
    assert end.why == "end_of_turn"
    assert text.strip()
    assert "<|im_end|>" not in text
    assert token not in ids
    assert end.closing is not None
    assert end.closing[0] == token
    assert end.closing[1] <= 0


async def test_the_closing_marker_is_told_and_kept_out(engine: Engine) -> None:
    """Guards the change from reasoning to answer."""
    if engine.close is None:
        pytest.skip("an instruct model closes nothing")
    marker = Marker(engine.close, await control(engine, engine.close))
    text, ids, _, end = await generated(engine, await asked(engine), close=marker)
    assert (end.why, end.closing and end.closing[0]) == ("close", marker.id)
    assert marker.id not in ids
    assert marker.text not in text


async def test_a_stop_ends_the_text_and_is_left_out(engine: Engine) -> None:
    """Guards the stops of an answer, which no reader should see."""
    prompt = await asked(engine)
    whole, _, _, _ = await generated(engine, prompt)
    stop = whole[20:29]
    text, ids, _, end = await generated(engine, prompt, form=Form(stop=["never written", stop]))
    assert text == whole.partition(stop)[0]
    assert (end.why, end.closing) == ("boundary", None)
    assert end.usage.completion_tokens >= len(ids) > 0


async def test_a_schema_is_kept_to(engine: Engine) -> None:
    """Guards structured answers: a server that does not know the field would write what it likes."""
    if engine.settled is not None:
        pytest.skip("a script says what it says")
    schema = {"type": "object", "properties": {"legs": {"type": "integer"}}, "required": ["legs"]}
    text, _, _, end = await generated(engine, await asked(engine), form=Form(schema | {"additionalProperties": False}))
    assert end.why == "end_of_turn"
    assert isinstance(json.loads(text)["legs"], int)


async def test_an_empty_prompt_is_a_typed_error(engine: Engine) -> None:
    """Guards callers: no server's own exception leaks, and no answer is made up."""
    with pytest.raises(EndpointError):
        await generated(engine, [])


async def test_greedy_generation_is_repeatable(engine: Engine) -> None:
    """Guards resume at temperature 0."""
    prompt = await asked(engine)
    first, second = [await generated(engine, prompt, boundary="\n\n") for _ in range(2)]
    assert first[:2] == second[:2]


async def test_reading_agrees_with_generating(engine: Engine) -> None:
    """Guards likelihood judges: at each place the likeliest token is the one that was written, as likely as told."""
    prompt = await asked(engine)
    _, ids, logprobs, _ = await generated(engine, prompt, max_tokens=12)
    readings = await engine.endpoint.read([[*prompt, *ids[:place]] for place in range(len(ids))])
    assert len(readings.items) == len(ids)
    for reading, token, logprob in zip(readings.items, ids, logprobs, strict=True):
        assert reading.logprobs[token] == pytest.approx(logprob, abs=engine.tolerance)
        tied = reading.logprobs[reading.likeliest] - reading.logprobs[token] <= engine.tolerance
        assert reading.likeliest == token or tied


async def test_prompts_are_read_in_their_order(engine: Engine) -> None:
    """Guards spots: each reading belongs to its prompt, also where one is the beginning of another."""
    prompt = await asked(engine)
    prompts = [prompt, prompt[:-1], [*prompt, prompt[-1]], prompt]
    together = (await engine.endpoint.read(prompts)).items
    alone = [(await engine.endpoint.read([one])).items[0] for one in prompts]
    for a, b in zip(together, alone, strict=True):
        assert a.logprobs[a.likeliest] == pytest.approx(b.logprobs[b.likeliest], abs=engine.tolerance)
    assert together[0].likeliest == together[3].likeliest


@pytest.mark.parametrize("top", [1, 5, 20])
async def test_a_reading_is_the_top_of_a_distribution(engine: Engine, top: int) -> None:
    """Guards label masses: as many tokens as asked for, the likeliest among them, and never more than 1 in sum."""
    reading = (await engine.endpoint.read([await asked(engine)], top=top)).items[0]
    assert len(reading.logprobs) == top
    assert max(reading.logprobs, key=lambda token: reading.logprobs[token]) == reading.likeliest
    assert sum(map(math.exp, reading.logprobs.values())) <= 1 + 1e-3


async def test_a_prefix_that_was_read_is_cached(engine: Engine) -> None:
    """Guards prefix reuse: what one request computed, the next does not; None where the engine can't say."""
    prompt = await asked(engine, MATHS * 5)
    first = (await engine.endpoint.read([prompt])).usage
    second = (await engine.endpoint.read([[*prompt, *prompt[-3:]]])).usage
    assert first.prompt_tokens == len(prompt)
    if second.cached_tokens is not None:
        assert first.cached_tokens is not None
        assert first.cached_tokens <= second.cached_tokens
        assert len(prompt) - engine.block <= second.cached_tokens <= len(prompt)


async def test_what_was_generated_is_cached(engine: Engine) -> None:
    """Guards step reuse: behind an accepted step, its tokens are not computed again."""
    prompt = await asked(engine, MATHS * 5)
    _, ids, _, _ = await generated(engine, prompt, max_tokens=40)
    _, _, _, later = await generated(engine, [*prompt, *ids], max_tokens=1)
    if later.usage.cached_tokens is not None:
        whole = len(prompt) + len(ids)
        assert whole - 1 - engine.block <= later.usage.cached_tokens < whole


async def test_a_prompt_beyond_the_context_is_told_apart(engine: Engine) -> None:
    """Guards the run's end at a full context, which must not look like a broken server."""
    prompt = (await asked(engine))[-1:] * ((await engine.endpoint.card()).context + 1)
    with pytest.raises(ContextOverflow):
        await generated(engine, prompt)
    with pytest.raises(ContextOverflow):
        await engine.endpoint.read([prompt])


async def test_a_wrong_key_is_refused_and_never_shown(engine: Engine) -> None:
    """Guards secrets in messages and logs."""
    if engine.config.api_key is None:
        pytest.skip("this server takes anyone")
    endpoint = connect("base", engine.config.model_copy(update={"api_key": SecretStr("wrong-secret")}))
    try:
        with pytest.raises(EndpointRefused) as refused:
            await endpoint.read([await asked(engine)])
    finally:
        await endpoint.aclose()
    assert refused.value.status == 401
    assert "wrong-secret" not in str(refused.value)


async def test_closing_the_iterator_stops_the_server(engine: Engine) -> None:
    """Guards losers of an overlap: a stream that is dropped holds up nobody."""
    prompt = await asked(engine)
    async with aclosing(engine.endpoint.generate(prompt, max_tokens=400, sampling=GREEDY)) as stream:
        assert (await anext(stream)).end is None
    async with asyncio.timeout(5):
        if engine.settled is not None:
            await engine.settled()
        await engine.endpoint.read([prompt])


async def test_characters_come_whole(engine: Engine) -> None:
    """Guards texts: ids may end inside a character, text may not."""
    text, ids, _, end = await generated(engine, await asked(engine, UNICODE), max_tokens=150)
    assert end.why == "end_of_turn"
    assert "🙂" in text
    assert "\ufffd" not in text
    assert len(ids) > 5
