"""What an operator lets requests ask for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from specreason_graph import ConfigError, Settings
from specreason_graph.use.gateway import Ceilings
from specreason_graph.use.gateway.ceilings import Ceiling
from specreason_graph.use.gateway.refusal import Refusal
from specreason_graph.use.gateway.request import ChatRequest

from .served import BASE, DRAFT, asking, served, slow

LOW = Ceiling(n=2, reasoning_budget=1000, answer_budget=100, max_steps=10, deadline=60, hedges=4)


def chosen(ceiling: Ceiling = LOW, defaults: Settings | None = None, **body: Any) -> Settings:
    request = ChatRequest.model_validate(asking(**body))
    return request.settings(defaults or Settings(), "default", 10_000, ceiling)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"reasoning_budget": 1001}, "reasoning_budget: 1001 is above this gateway's ceiling of 1000"),
        ({"answer_budget": 101}, "answer_budget: 101 is above"),
        ({"max_steps": 11}, "max_steps: 11 is above"),
        ({"hedges": 10**6}, "hedges: 1000000 is above this gateway's ceiling of 4"),
        ({"deadline": 61}, "deadline: 61.0 is above"),
        ({"deadline": None}, "deadline: no bound is above this gateway's ceiling of 60.0"),
    ],
)
def test_what_a_request_chooses_above_its_ceiling_is_refused_by_name(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(Refusal) as caught:
        chosen(specreason=settings)
    [name] = settings
    assert str(caught.value).startswith(says)
    error = caught.value.document["error"]
    assert (caught.value.status, error["param"], error["code"]) == (400, name, "above_ceiling")


def test_what_only_says_at_most_is_lowered_and_so_are_the_gateway_s_own_settings() -> None:
    settings = chosen(max_tokens=5000, reasoning_effort="max")
    assert (settings.reasoning_budget, settings.answer_budget) == (1000, 100)
    assert (settings.max_steps, settings.deadline, settings.hedges) == (10, 60, 4)
    assert chosen(specreason={"reasoning_budget": 1000, "deadline": 30}).deadline == 30
    assert chosen(defaults=Settings(reasoning_budget=500)).reasoning_budget == 500


def test_which_settings_a_request_may_name_is_the_operator_s_word() -> None:
    some = Ceiling(settings=("threshold",))
    assert chosen(some, specreason={"threshold": 8}).threshold == 8
    assert chosen(some, temperature=0.5, seed=3).seed == 3
    with pytest.raises(Refusal, match=r"^judge: not a request's to choose at this gateway; those are: threshold$"):
        chosen(some, specreason={"judge": "likelihood"})
    with pytest.raises(ConfigError, match=r"^judgee: there is no such field"):
        chosen(some, specreason={"judgee": "likelihood"})


@pytest.mark.parametrize("name", ["hedge", "look_ahead"])
def test_what_was_turned_off_stays_off(name: str) -> None:
    """Guards servers without room for it: `--no-hedge` was undone by any request."""
    without = Settings(**{name: False})
    for value in (True, None):
        with pytest.raises(Refusal, match=f"^{name}: turned off at this gateway"):
            chosen(Ceiling(), without, specreason={name: value})
    assert getattr(chosen(Ceiling(), without, specreason={name: False}), name) is False
    assert getattr(chosen(Ceiling(), specreason={name: True}), name) is True


def test_hedges_of_all_runs_are_no_request_s_to_raise() -> None:
    ceiling = Ceilings().of("anybody", Settings(hedges=8))
    with pytest.raises(Refusal, match="hedges: 9 is above this gateway's ceiling of 8"):
        chosen(ceiling, Settings(hedges=8), specreason={"hedges": 9})


def test_a_file_has_ceilings_for_all_keys_and_others_for_some(tmp_path: Path) -> None:
    file = tmp_path / "ceilings.toml"
    file.write_text('[every]\nn = 2\nreasoning_budget = 1000\n[key.batch]\nn = 8\nsettings = ["threshold"]\n')
    ceilings = Ceilings.of_file(file)
    everybody, batch = ceilings.of("alice", Settings()), ceilings.of("batch", Settings())
    assert (everybody.n, everybody.reasoning_budget, everybody.settings) == (2, 1000, None)
    assert (batch.n, batch.reasoning_budget, batch.settings) == (8, 1000, ("threshold",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("n = 3", "has the tables `every` and `key.NAME`, not n"),
        ("[every]\nreasoning_bugdet = 3", "there is no such field; did you mean reasoning_budget"),
        ("[every]\nn = 0", "n: Input should be greater than or equal to 1"),
        ('[every]\nsettings = ["judgee"]', "there is no setting judgee"),
        ("[every", "can't read"),
        (f"[every]\nn = {'[' * 10_000}", "can't read"),
        ("key = 5", r"are tables: write \[every\]"),
        ("every = 5", r"are tables"),
        ("[[every]]\nn = 3", r"are tables"),
        ("key.batch = 5", r"are tables"),
        ("[every]\ndeadline = nan", "deadline: Input should be"),
    ],
)
def test_a_file_that_is_none_fails_the_start(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "ceilings.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"^ceilings: .*{says}"):
        Ceilings.of_file(file)
    with pytest.raises(ConfigError, match=r"^ceilings: can't read .*No such file"):
        Ceilings.of_file(tmp_path / "none")


def test_ceilings_under_which_no_run_could_begin_fail_the_start() -> None:
    with pytest.raises(ConfigError, match=r"^ceilings: .*answer_reserve 10 s leaves nothing of deadline 5 s"):
        Ceilings(own={"guest": Ceiling(deadline=5)}).check(Settings())
    Ceilings(every=LOW).check(Settings())


async def test_samples_are_places_and_more_than_there_are_is_no_queue_s_fault() -> None:
    ceilings = Ceilings(every=Ceiling(n=3))
    async with served(slow(BASE), DRAFT, ceilings=ceilings, at_once=1, waiting=1) as it, it.http as http:
        replies = [await http.post("/v1/chat/completions", json=asking(n=n)) for n in (4, 3)]
        for reply, n, most in zip(replies, (4, 3), (2, 2), strict=True):
            assert (reply.status_code, reply.json()["error"]["param"]) == (400, "n")
            assert f"n: {n} is above this gateway's ceiling of {most}" in reply.json()["error"]["message"]
        assert len((await http.post("/v1/chat/completions", json=asking(n=2))).json()["choices"]) == 2


def test_the_ceilings_in_the_docs_are_ceilings(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    [shown] = re.findall(r"```toml\n(\[every.*?)```", page, flags=re.DOTALL)
    (tmp_path / "ceilings.toml").write_text(shown)
    assert Ceilings.of_file(tmp_path / "ceilings.toml").of("batch", Settings()).n == 8
