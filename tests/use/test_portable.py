"""Copies share the pair; in another process a model is made on the pair of its environment; no key goes with it."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from chat import NOWHERE, QUESTION, offline, served
from langchain_core.load import dumpd, dumps, load
from langchain_core.prompts import ChatPromptTemplate

from specreason_graph import ChatSpecReason, ConfigError, Pair, Settings

CHANGED = Settings(threshold=4, seed=3)


@pytest.fixture
def of_environment(monkeypatch: pytest.MonkeyPatch) -> ChatSpecReason:
    monkeypatch.setenv("SPECREASON_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SPECREASON_DRAFT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("SPECREASON_API_KEY", "opensesame")
    return ChatSpecReason(settings=CHANGED, temperature=0.2, stop="x", tags=["a"])


async def test_copies_share_the_pair_that_is_connected() -> None:
    async with served(tags=["a"]) as (model, _):
        before = await model.ainvoke(QUESTION)
        copies = [copy.copy(model), copy.deepcopy(model), model.model_copy(), model.model_copy(deep=True)]
        for copied in copies:
            assert copied.pair is model.pair
            assert (await copied.ainvoke(QUESTION)).text == before.text
        bound = copy.deepcopy(ChatPromptTemplate.from_template("{q}") | model.bind(threshold=2))
        assert (await bound.ainvoke({"q": QUESTION})).text == before.text
    assert copies[1].tags is not None
    copies[1].tags.append("b")
    assert model.tags == ["a"]


async def test_a_copy_with_another_pair_runs_on_that() -> None:
    async with served() as (model, _):
        moved = offline().model_copy(update={"pair": model.pair})
        changed = model.model_copy(update={"settings": Settings(max_steps=1)})
        assert (await moved.ainvoke(QUESTION)).text == "There are 12 legs."
        assert (await changed.ainvoke(QUESTION)).response_metadata["specreason"]["steps"] == 1


def test_a_model_of_the_environment_is_pickled_without_its_keys(of_environment: ChatSpecReason) -> None:
    told = pickle.dumps(of_environment)
    again = pickle.loads(told)
    assert b"opensesame" not in told
    assert b"127.0.0.1" not in told
    assert (again.settings, again.temperature, again.stop, again.tags) == (CHANGED, 0.2, ["x"], ["a"])
    assert again.pairs["default"].config == of_environment.pairs["default"].config
    assert pickle.loads(pickle.dumps(again.bind(seed=2))).bound.settings == CHANGED


def test_it_is_loaded_from_what_it_was_dumped_as(of_environment: ChatSpecReason) -> None:
    told = dumpd(of_environment)
    allowed: Any = {"allowed_objects": [ChatSpecReason], "valid_namespaces": ["specreason_graph"]}
    again = load(told, **allowed)
    assert "opensesame" not in json.dumps(told)
    assert (again.settings, again.temperature, again.stop) == (CHANGED, 0.2, ["x"])


def test_a_pair_of_its_own_stays_and_says_what_to_do() -> None:
    for model in (offline(), offline().bind(seed=1), ChatSpecReason(pairs={"default": Pair(NOWHERE)})):
        with pytest.raises(ConfigError, match=r"^the connections and keys [^\n]*SPECREASON_BASE_URL[^\n]*$"):
            pickle.dumps(model)


def test_a_copy_on_a_pair_of_its_own_is_not_of_the_environment(of_environment: ChatSpecReason) -> None:
    with pytest.raises(ConfigError, match="stay in their process"):
        pickle.dumps(of_environment.model_copy(update={"pair": Pair(NOWHERE)}))
    pickle.dumps(of_environment.model_copy(update={"presets": ()}))


def test_what_can_not_be_loaded_says_why() -> None:
    told = dumpd(offline())
    assert told["type"] == "not_implemented"
    with pytest.raises(NotImplementedError, match="stay in their process: make the model anew"):
        load(told, allowed_objects=[ChatSpecReason])
    assert "127.0.0.1" not in dumps(offline())
