"""`specreason bench` with arms whose base decodes speculatively, on scripted servers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from specreason_graph.testing import Script, ScriptedPair, ScriptedServer

from .conftest import Specreason, at, serving

PROBLEMS = [{"problem": f"How many legs have {cows} cows?", "answer": str(4 * cows)} for cows in (3, 3)]
STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", r"So \boxed{12}."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", r"So \boxed{11}."]
BASE = Script(STEPS, scores=[9, 2, 2], judge_mark="Evaluate")
ARMS = ["base", "base+decode", "ours", "ours+decode"]
PROPOSED = 3


@pytest.fixture
def servers() -> Iterator[ScriptedPair]:
    """Base is right; the draft is wrong from its second step on, and the judge says so."""
    with serving(BASE, Script(WRONG), "instruct") as pair:
        yield pair


@pytest.fixture
def decode() -> Iterator[ScriptedServer]:
    """Another server of the same base, which decodes speculatively."""
    server = ScriptedServer(BASE, model="scripted-base", decodes=PROPOSED)
    with serving(server, Script(WRONG), "instruct") as pair:
        yield pair.base


@pytest.fixture
def bench(tmp_path: Path, servers: ScriptedPair) -> list[str]:
    path = tmp_path / "cows.jsonl"
    path.write_text("\n".join(map(json.dumps, PROBLEMS)))
    run = ["--out", str(tmp_path / "run.jsonl"), "--judge", "likelihood"]
    return ["bench", "--problems", str(path), *run, *at(servers, "instruct")]


def arms(*names: str) -> list[str]:
    return [part for name in names for part in ("--arm", name)]


def test_both_kinds_of_arms_run_and_are_compared(
    specreason: Specreason, bench: list[str], decode: ScriptedServer, tmp_path: Path
) -> None:
    """Lossless decoding is as right as base; what the server counts is told of each arm alone."""
    plots = ["--plots", str(tmp_path / "plots")]
    done = specreason(*bench, *arms(*ARMS), "--decode-url", decode.url, *plots, "--json")
    assert done.status == 0, done.err
    report = json.loads(done.out)
    assert {arm: totals["right"] for arm, totals in report["arms"].items()} == dict.fromkeys(ARMS, 2)
    assert set(report["paired"]) == {
        "base+decode-base", "ours-base", "ours+decode-base", "ours-base+decode", "ours+decode-base+decode",
    }  # fmt: skip
    assert report["paired"]["base+decode-base"]["accuracy"] == 0
    passes = {arm: totals["tokens_a_pass"] for arm, totals in report["arms"].items()}
    assert (passes["base"], passes["ours"]) == (None, None)
    assert 1 < passes["ours+decode"] <= passes["base+decode"] <= PROPOSED + 1
    assert passes["ours+decode"] <= report["tokens_a_pass"] <= passes["base+decode"]
    records = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()[1:]]
    alone = [record for record in records if record["arm"] == "base+decode"]
    assert all(record["decoded"]["arms"] == ["base+decode"] for record in alone)
    decoded = [record["decoded"]["passes"] + record["decoded"]["accepted"] for record in alone]
    assert decoded == [record["usage"]["base"]["completion_tokens"] - 1 for record in alone]  # the prefill gives one
    assert (tmp_path / "plots" / "accuracy.png").exists()


def test_the_share_of_tokens_by_the_draft_stands_beside_the_acceptance(
    specreason: Specreason, bench: list[str], decode: ScriptedServer, tmp_path: Path
) -> None:
    """Of three steps the first is the draft's, in base's tokens; base and draft alone keep no steps."""
    done = specreason(*bench, *arms("base", "draft", "ours"), "--json")
    totals = json.loads(done.out)["arms"]
    tokenizer = decode.model.tokenizer
    first, *others = [len(tokenizer.encode(text)) for text in (STEPS[0] + "\n\n", STEPS[1] + "\n\n", STEPS[2])]
    assert totals["ours"]["acceptance"] == pytest.approx(1 / 3)
    assert totals["ours"]["draft_share"] == pytest.approx(first / (first + sum(others)))
    assert (totals["base"]["draft_share"], totals["draft"]["draft_share"]) == (None, None)


def test_the_table_tells_both_baselines(specreason: Specreason, bench: list[str], decode: ScriptedServer) -> None:
    done = specreason(*bench, *arms(*ARMS, "ours+decode@-9"), "--decode-url", decode.url)
    pairs = [line.partition(": ")[0] for line in done.out.splitlines() if " points [" in line]
    assert pairs[0] == "base+decode - base"
    assert {"ours+decode - base+decode", "ours+decode@-9 - base+decode", "ours - base"} <= set(pairs)
    assert "a pass" in done.out
    assert "all arms together" not in done.out


def test_an_arm_that_decodes_asks_base_only_on_that_server(
    specreason: Specreason, bench: list[str], servers: ScriptedPair, decode: ScriptedServer
) -> None:
    """And an arm that does not asks nothing of it: judging, writing and answering."""
    assert specreason(*bench, *arms("base+decode", "ours+decode"), "--decode-url", decode.url).status == 0
    assert decode.completions
    assert servers.draft.completions
    assert not servers.base.completions
    before = len(decode.completions)
    assert specreason(*bench, *arms("base", "ours"), "--decode-url", decode.url).status == 0
    assert servers.base.completions
    assert len(decode.completions) == before


def test_a_bench_that_was_stopped_runs_nothing_twice(
    specreason: Specreason, bench: list[str], decode: ScriptedServer, tmp_path: Path
) -> None:
    """What was counted for finished outcomes is kept with them."""
    run = tmp_path / "run.jsonl"
    command = [*bench, *arms("base+decode", "ours+decode@-2"), "--decode-url", decode.url, "--json"]
    whole = json.loads(specreason(*command).out)
    lines = run.read_text().splitlines()
    run.write_text("\n".join([*lines[:-1], lines[-1][:40]]))  # killed while the last record was written
    before = len(decode.completions)
    report = json.loads(specreason(*command).out)
    assert 0 < len(decode.completions) - before < before / 2
    figures = [[totals["tokens_a_pass"] for totals in it["arms"].values()] for it in (whole, report)]
    assert figures[0] == figures[1]


def test_with_room_for_one_server_of_base_the_arms_run_one_behind_the_other(
    specreason: Specreason, bench: list[str], servers: ScriptedPair, decode: ScriptedServer
) -> None:
    """First on the plain server, then on the one in its place, into the same run."""
    assert specreason(*bench, *arms("base", "ours")).status == 0
    servers.base.requests.clear()
    in_its_place = ["--base-url", decode.url, "--decode-url", decode.url]
    done = specreason(*bench, *in_its_place, *arms(*ARMS), "--json")
    report = json.loads(done.out)
    assert {arm: totals["n"] for arm, totals in report["arms"].items()} == dict.fromkeys(ARMS, 2)
    assert report["paired"]["ours+decode-base+decode"]["n"] == 2
    assert not servers.base.requests


@pytest.mark.parametrize("names", [("base+decode", "ours+decode"), ("ours+decode",)], ids=["two arms", "one"])
def test_at_the_same_time_only_what_is_sure_is_told(
    specreason: Specreason, bench: list[str], decode: ScriptedServer, names: tuple[str, ...]
) -> None:
    """The server does not count by request: two arms at once are known together, one arm is known."""
    command = [*bench, *arms("base", *names), "--decode-url", decode.url, "--concurrency", "3"]
    done = specreason(*command, "--json")
    report = json.loads(done.out)
    assert 1 < report["tokens_a_pass"] < PROPOSED + 1
    told = [report["arms"][name]["tokens_a_pass"] for name in names]
    assert told == ([None, None] if len(names) > 1 else [report["tokens_a_pass"]])
    assert ("all arms together" in specreason(*command).out) == (len(names) > 1)


def test_the_environment_may_say_where_base_decodes(
    specreason: Specreason, bench: list[str], decode: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECREASON_DECODE_URL", decode.url)
    assert specreason(*bench, *arms("base+decode")).status == 0
    assert decode.completions


def test_an_arm_that_decodes_needs_to_know_where(
    specreason: Specreason, bench: list[str], servers: ScriptedPair
) -> None:
    done = specreason(*bench, *arms("base", "ours+decode@0.5"))
    assert done.status == 2
    assert "arm: 'ours+decode@0.5' needs --decode-url (or SPECREASON_DECODE_URL)" in done.err
    assert not servers.base.requests


@pytest.mark.parametrize(
    ("server", "options", "message"),
    [
        (
            {"model": "scripted-base"},
            [],
            "does not decode speculatively (no vllm:spec_decode_num_drafts_total in its /metrics)",
        ),
        ({"model": "scripted-base"}, [], "start it with `specreason up --decode draft_model` or `--decode ngram`"),
        ({"model": "other", "decodes": 3}, [], "decode-url: it has to serve base's model 'scripted-base', but"),
        ({"model": "scripted-base", "decodes": 3}, ["--dialect", "llamacpp"], "needs vLLM servers"),
    ],
)
def test_a_server_that_can_not_do_it_is_refused_before_anything_runs(
    specreason: Specreason,
    bench: list[str],
    servers: ScriptedPair,
    server: dict[str, object],
    options: list[str],
    message: str,
) -> None:
    with serving(ScriptedServer(BASE, **server), Script(WRONG)) as other:  # type: ignore[arg-type]
        done = specreason(*bench, *arms("base", "base+decode"), "--decode-url", other.base.url, *options)
        assert (done.status, message in done.err) == (2, True), done.err
        assert not other.base.completions
    assert not servers.base.completions
    assert len(done.err.strip().splitlines()) == 1


def test_a_server_that_is_not_there_is_an_error(specreason: Specreason, bench: list[str]) -> None:
    done = specreason(*bench, *arms("base+decode"), "--decode-url", "http://127.0.0.1:9")
    assert (done.status, "can't be reached" in done.err) == (1, True), done.err
