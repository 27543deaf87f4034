"""What every client must do, whatever engine is behind it: tokens one by one, and one end.

Written for any greedy model: nothing here knows a script.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from itertools import pairwise

import pytest

from specreason_graph.endpoint.protocol import Form, Marker, Token

from .contract import GREEDY, SHORT, UNICODE, Engine, Generated, asked, collected, control


async def spelled(engine: Engine, written: Generated) -> str:
    """What the server says that the ids of a generation spell."""
    return await engine.endpoint.decode(written.ids)


async def test_a_generation_stops_at_the_boundary(engine: Engine) -> None:
    """Guards steps: the token that completes the boundary is the last, and the next request goes on behind it."""
    prompt = await asked(engine)
    step = await collected(engine.endpoint, prompt, boundary="\n\n")
    assert (step.end.why, step.end.closing) == ("boundary", None)
    assert "\n\n" in step.text
    assert "\n\n" not in step.text.removesuffix(step.tokens[-1].text)
    assert step.end.usage.completion_tokens >= len(step.ids) > 0
    assert step.end.usage.prompt_tokens == len(prompt)
    following = await collected(engine.endpoint, [*prompt, *step.ids], boundary="\n\n")
    assert following.text.strip()
    assert following.text != step.text


async def test_texts_are_what_the_ids_spell(engine: Engine) -> None:
    """Guards evidence and offsets: a token has its own text, however many came in one event, and however it ended."""
    prompt = await asked(engine)
    for written in (
        await collected(engine.endpoint, prompt, boundary="\n\n"),
        await collected(engine.endpoint, prompt, max_tokens=30),
        await collected(engine.endpoint, prompt),
    ):
        assert written.text == await spelled(engine, written)
        for token, _, text in written.tokens:
            assert not text.isascii() or not text or text == await engine.endpoint.decode([token])
        assert all(logprob <= 0 for logprob in written.logprobs)


async def test_ids_and_text_are_the_same_tokens(engine: Engine) -> None:
    """Guards ledgers of ids beside texts for the other model: the text, encoded anew, is those ids again."""
    step = await collected(engine.endpoint, await asked(engine), boundary="\n\n")
    again = (await engine.endpoint.encode(step.text.rstrip("\n"), control=True)).ids
    assert len(again) <= len(step.ids)
    assert again[:-1] == step.ids[: len(again) - 1]  # the last may hold the boundary, too


async def test_nothing_behind_a_boundary_is_lost_or_doubled(engine: Engine) -> None:
    """Guards look-ahead, which reads several steps from one generation: they are those of one request a step."""
    if engine.settled is None:
        pytest.skip("a real model need not say the same when its prompt is read in another way")
    prompt = await asked(engine)
    close = None if engine.close is None else Marker(engine.close, await control(engine, engine.close))
    whole = await collected(engine.endpoint, prompt, close=close)
    steps: list[Token] = []
    while True:
        step = await collected(engine.endpoint, [*prompt, *[t.id for t in steps]], boundary="\n\n", close=close)
        steps += step.tokens
        if step.end.why != "boundary":
            break
    assert steps == whole.tokens
    assert (step.end.why, step.end.closing) == (whole.end.why, whole.end.closing)
    assert whole.text.count("\n\n") >= 3


async def test_the_cap_is_exact(engine: Engine) -> None:
    """Guards budgets in tokens."""
    written = await collected(engine.endpoint, await asked(engine), max_tokens=7)
    end = written.end
    assert (end.why, end.closing, len(written.ids), end.usage.completion_tokens) == ("length", None, 7, 7)


async def test_the_end_of_turn_is_told_and_kept_out(engine: Engine) -> None:
    """Guards ledgers: an end of turn in the middle would end the model's turn there."""
    written = await collected(engine.endpoint, await asked(engine, SHORT))
    token = await control(engine, "<|im_end|>")
    assert written.end.why == "end_of_turn"
    assert written.text.strip()
    assert "<|im_end|>" not in written.text
    assert token not in written.ids
    assert written.end.closing is not None
    assert written.end.closing[0] == token
    assert written.end.closing[1] <= 0


async def test_the_closing_marker_is_told_and_kept_out(engine: Engine) -> None:
    """Guards the change from reasoning to answer, which is asked for behind the marker."""
    if engine.close is None:
        pytest.skip("an instruct model closes nothing")
    marker = Marker(engine.close, await control(engine, engine.close))
    prompt = await asked(engine)
    reasoning = await collected(engine.endpoint, prompt, close=marker)
    assert (reasoning.end.why, reasoning.end.closing and reasoning.end.closing[0]) == ("close", marker.id)
    assert marker.id not in reasoning.ids
    assert marker.text not in reasoning.text
    answer = await collected(engine.endpoint, [*prompt, *reasoning.ids, marker.id])
    whole = await collected(engine.endpoint, prompt)
    assert whole.text == reasoning.text + marker.text + answer.text


async def test_a_stop_ends_the_text_and_is_kept(engine: Engine) -> None:
    """Guards the stops of an answer: whoever reads it cuts there, and needs to see where."""
    prompt = await asked(engine)
    whole = await collected(engine.endpoint, prompt)
    stop = whole.text[20:29]
    written = await collected(engine.endpoint, prompt, form=Form(stop=["never written", stop]))
    assert written.tokens == whole.tokens[: len(written.tokens)]
    assert stop in written.text
    assert stop not in written.text.removesuffix(written.tokens[-1].text)
    assert (written.end.why, written.end.closing) == ("boundary", None)
    assert written.end.usage.completion_tokens >= len(written.ids) > 0


async def test_a_schema_is_kept_to(engine: Engine) -> None:
    """Guards structured answers: a server that does not know the field would write what it likes."""
    schema = {"type": "object", "properties": {"legs": {"type": "integer"}}, "required": ["legs"]}
    form = Form(schema | {"additionalProperties": False})
    written = await collected(engine.endpoint, await asked(engine), form=form)
    assert written.end.why == "end_of_turn"
    assert isinstance(json.loads(written.text)["legs"], int)


async def test_greedy_generation_is_repeatable(engine: Engine) -> None:
    """Guards resume at temperature 0."""
    prompt = await asked(engine)
    first, second = [await collected(engine.endpoint, prompt, boundary="\n\n") for _ in range(2)]
    assert (first.ids, first.text) == (second.ids, second.text)


async def test_closing_the_iterator_stops_the_server(engine: Engine) -> None:
    """Guards losers of an overlap: a stream that is dropped holds up nobody."""
    prompt = await asked(engine)
    async with aclosing(engine.endpoint.generate(prompt, max_tokens=400, sampling=GREEDY)) as stream:
        assert isinstance(await anext(stream), Token)
    async with asyncio.timeout(30):
        if engine.settled is not None:
            await engine.settled()
        await engine.endpoint.read([prompt])


async def test_characters_come_whole(engine: Engine) -> None:
    """Guards texts: ids may end inside a character, text may not, and the id that completes it has all of it."""
    written = await collected(engine.endpoint, await asked(engine, UNICODE), max_tokens=150)
    assert written.end.why == "end_of_turn"
    assert "🙂" in written.text
    assert "\ufffd" not in written.text
    assert written.text == await spelled(engine, written)
    inside = [token.id for token in written.tokens if not token.text]
    assert all([(await engine.endpoint.decode([token])).endswith("\ufffd") for token in inside])
    assert engine.settled is None or inside


@pytest.mark.parametrize("cap", range(3))
async def test_a_cap_inside_a_character_leaves_no_half_of_it(engine: Engine, cap: int) -> None:
    """Guards steps that are cut at their cap: what is behind the last whole character has no text."""
    prompt = await asked(engine, UNICODE)
    whole = await collected(engine.endpoint, prompt, max_tokens=150)
    inside = [at for at, (one, other) in enumerate(pairwise(whole.tokens), 1) if not one.text and other.text]
    if not inside:
        pytest.skip("this model spells each character in one token")
    cut = await collected(engine.endpoint, prompt, max_tokens=inside[0] - cap)
    assert cut.end.why == "length"
    assert cut.tokens == whole.tokens[: len(cut.tokens)]
    assert "\ufffd" not in cut.text
