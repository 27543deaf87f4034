"""What every client must do, whatever engine is behind it: texts and ids, and errors. The graph relies on each.

Written for any greedy model: nothing here knows a script.
"""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from specreason_graph.contract.errors import ContextOverflow, EndpointError, EndpointRefused
from specreason_graph.endpoint import connect

from .contract import MATHS, Engine, asked, collected, control


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
    text = await engine.endpoint.decode(rendered)
    _, found, opening = text.rpartition(MATHS)
    assert found
    assert "assistant" in opening
    assert await engine.endpoint.render(messages, {}) == rendered
    assert (await engine.endpoint.encode(text, control=True)).ids == rendered


async def test_what_stands_behind_an_assistants_turn_can_be_derived(engine: Engine) -> None:
    """Guards the judge's request, whose chat markup is what the template puts behind a sentinel."""
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": "SENTINEL"},
        {"role": "user", "content": "Score it."},
    ]
    _, found, behind = (await engine.endpoint.decode(await engine.endpoint.render(messages, {}))).rpartition("SENTINEL")
    assert found
    assert "Score it." in behind


async def test_no_text_is_no_ids(engine: Engine) -> None:
    """Guards ledgers against BOS tokens in the middle."""
    encoded = await engine.endpoint.encode("")
    assert (encoded.ids, encoded.texts) == ([], [])


@pytest.mark.parametrize("text", ["3 * 4 = 12 legs.\n\n", " So, the\n  total is 20.", "x", "\n\n\n\n\n"])
async def test_each_ids_text_is_its_part_of_the_text(engine: Engine, text: str) -> None:
    """Guards spots mapped between two tokenizers by offset."""
    encoded = await engine.endpoint.encode(text)
    assert len(encoded.texts) == len(encoded.ids) > 0
    assert "".join(encoded.texts) == text
    assert all(encoded.texts)
    assert await engine.endpoint.decode(encoded.ids) == text


@pytest.mark.parametrize("text", ["naïve 你好 🙂", "👨‍👩‍👧🏽", "مرحبا, नमस्ते", "𝑥² + 𝑦² ≤ ½", "ẹ́ȧ̈"])
async def test_texts_hold_beyond_ascii(engine: Engine, text: str) -> None:
    """Guards the same where an id is a part of a character: the id that completes one has all of it."""
    encoded = await engine.endpoint.encode(text)
    assert len(encoded.texts) == len(encoded.ids)
    assert "".join(encoded.texts) == await engine.endpoint.decode(encoded.ids)
    assert "\ufffd" not in "".join(encoded.texts)
    assert encoded.texts[-1]


async def test_spelled_control_tokens_stay_text(engine: Engine) -> None:
    """Guards ledgers: a step that spells a control token must not end a turn."""
    token = await control(engine, "<|im_end|>")
    encoded = await engine.endpoint.encode("The token <|im_end|> ends a turn.")
    assert token not in encoded.ids
    assert "".join(encoded.texts) == "The token <|im_end|> ends a turn."


async def test_an_empty_prompt_is_a_typed_error(engine: Engine) -> None:
    """Guards callers: no server's own exception leaks, and no answer is made up."""
    with pytest.raises(EndpointError):
        await collected(engine.endpoint, [])


async def test_a_prompt_beyond_the_context_is_told_apart(engine: Engine) -> None:
    """Guards the run's end at a full context, which must not look like a broken server."""
    prompt = (await asked(engine))[-1:] * ((await engine.endpoint.card()).context + 1)
    with pytest.raises(ContextOverflow):
        await collected(engine.endpoint, prompt)
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
