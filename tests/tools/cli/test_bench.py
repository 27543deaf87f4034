"""`specreason bench` and `rejudge` as a user runs them, on scripted servers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from specreason_graph.testing import Script, ScriptedPair

from .conftest import Specreason, at, serving

PROBLEM = {"problem": "How many legs have 3 cows?", "answer": "12"}
STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", r"So \boxed{12}."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", r"So \boxed{11}."]


@pytest.fixture
def servers() -> Iterator[ScriptedPair]:
    """Base is right; the draft is wrong from its second step on, and the judge says so."""
    with serving(Script(STEPS, scores=[9, 2, 2], judge_mark="Evaluate"), Script(WRONG), "instruct") as pair:
        yield pair


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "cows.jsonl"
    path.write_text("\n".join(json.dumps(PROBLEM) for _ in range(3)))
    return path


def test_all_four_arms_answer_the_same_problems(
    specreason: Specreason,
    servers: ScriptedPair,
    problems: Path,
    tmp_path: Path,
) -> None:
    done = specreason(
        "bench", "--problems", str(problems), "--json", "--judge", "likelihood", "--out", str(tmp_path / "run.jsonl"),
        "--plots", str(tmp_path / "plots"), "--report", str(tmp_path / "report.html"), "--concurrency", "3",
        *at(servers, "instruct"),
    )  # fmt: skip
    report = json.loads(done.out)
    assert {arm: totals["right"] for arm, totals in report["arms"].items()} == {
        "base": 3, "draft": 0, "paper": 3, "ours": 3,
    }  # fmt: skip
    assert report["problems"][0]["given"] == {"base": "12", "draft": "11", "paper": "12", "ours": "12"}
    assert report["arms"]["paper"]["acceptance"] == pytest.approx(1 / 3)
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["accuracy.png", "time.png"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "report-runs/0003.html" in page
    assert PROBLEM["problem"] in (tmp_path / "report-runs" / "0001.html").read_text(encoding="utf-8")


def test_every_arm_is_asked_for_the_box_that_is_graded(
    specreason: Specreason, servers: ScriptedPair, problems: Path, tmp_path: Path
) -> None:
    specreason("bench", "--problems", str(problems), "--limit", "1", "--out", str(tmp_path / "run.jsonl"),
               *at(servers, "instruct"))  # fmt: skip
    for server in (servers.base, servers.draft):
        spell = server.model.tokenizer.spell
        prompts = [spell(prompt).decode() for record in server.completions for prompt in record.prompts]
        assert prompts
        assert all("Put the final answer within \\boxed{}." in prompt for prompt in prompts)


def test_a_bench_that_was_stopped_runs_nothing_twice(
    specreason: Specreason, servers: ScriptedPair, problems: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run.jsonl"
    command = ["bench", "--problems", str(problems), "--json", "--out", str(run), *at(servers, "instruct")]
    specreason(*command, "--limit", "1")
    lines = run.read_text().splitlines()
    run.write_text("\n".join([*lines[:-1], lines[-1][:40]]))  # killed while the last record was written
    before = len(servers.draft.completions)
    report = json.loads(specreason(*command, "--limit", "1").out)
    again = len(servers.draft.completions) - before
    assert {totals["n"] for totals in report["arms"].values()} == {1}
    assert 0 < again < before / 2  # only the arm whose record was cut off


def test_a_run_with_other_settings_is_not_gone_on_with(
    specreason: Specreason, servers: ScriptedPair, problems: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run.jsonl"
    command = ["bench", "--problems", str(problems), "--limit", "1", "--out", str(run), *at(servers, "instruct")]
    assert specreason(*command).status == 0
    done = specreason(*command, "--threshold", "5")
    assert done.status == 2
    assert "threshold" in done.err


def test_a_problem_that_has_changed_is_not_gone_on_with(
    specreason: Specreason, servers: ScriptedPair, problems: Path, tmp_path: Path
) -> None:
    """Guards figures: what was answered would be graded as of another question."""
    command = ["bench", "--problems", str(problems), "--out", str(tmp_path / "run.jsonl"), *at(servers, "instruct")]
    assert specreason(*command, "--limit", "1").status == 0
    problems.write_text(json.dumps({**PROBLEM, "answer": "13"}) + "\n")
    done = specreason(*command)
    assert done.status == 2
    assert "problem cows:0 is another one" in done.err


@pytest.mark.parametrize("command", ["bench", "calibrate"])
def test_a_problem_that_can_not_be_asked_is_named(
    specreason: Specreason, servers: ScriptedPair, problems: Path, tmp_path: Path, command: str
) -> None:
    """Guards long runs: what was finished is kept, and the same command goes on once that one problem is mended."""
    run, cows = tmp_path / "run.jsonl", problems.read_text().splitlines()
    problems.write_text("\n".join([*cows[:2], json.dumps({**PROBLEM, "problem": "How many legs?" * 9_999})]))
    arguments = [command, "--problems", str(problems), "--out", str(run), *at(servers, "instruct")]
    arguments += ["--policy", str(tmp_path / "cows.json")] if command == "calibrate" else ["--arm", "base"]
    done = specreason(*arguments)
    assert (done.status, done.err.rstrip().endswith("(at problem cows:2)")) == (2, True), done.err
    records = [json.loads(line)["problem"] for line in run.read_text().splitlines()[1:]]
    assert records == ["cows:0", "cows:1"]
    problems.write_text("\n".join(cows))
    assert "(at problem" not in specreason(*arguments).err
    assert [json.loads(line)["problem"] for line in run.read_text().splitlines()[1:]] == [*records, "cows:2"]


def test_rejudging_with_the_runs_own_settings_changes_no_decision(
    specreason: Specreason, servers: ScriptedPair, problems: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run.jsonl"
    command = ["bench", "--problems", str(problems), "--out", str(run), "--judge", "likelihood"]
    specreason(*command, "--arm", "paper", "--arm", "ours", "--arm", "random@0.5", *at(servers, "instruct"))
    done = specreason("rejudge", str(run), "--json")
    assert not done.err, done.err
    rows = json.loads(done.out)["rejudged"]
    assert {row["arm"] for row in rows} == {"paper", "ours", "random@0.5"}
    assert all(row["judged"] and not row["newly_accepted"] and not row["newly_rejected"] for row in rows)
    [lenient] = json.loads(specreason("rejudge", str(run), "--json", "--threshold", "-30").out)["rejudged"]
    assert lenient["would_accept"] == lenient["judged"] > lenient["accepted"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--arm", "theirs"], "arm: there is no 'theirs'"),
        (["--arm", "base@3"], "arm: there is no 'base@3'"),
        (["--policy-file", "nowhere.json"], "policy: can't read nowhere.json"),
        (["--policy", "mine"], "policy: there is no 'mine'"),
        (["--samples", "2", "--temperature", "0"], "samples: at temperature 0 all samples are alike"),
    ],
)
def test_what_can_not_work_is_said_before_anything_runs(
    specreason: Specreason, servers: ScriptedPair, problems: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    out = ["--out", str(tmp_path / "run.jsonl")]
    done = specreason("bench", "--problems", str(problems), *out, *options, *at(servers, "instruct"))
    assert (done.status, message in done.err) == (2, True), done.err
    assert not servers.draft.completions


def test_rejudging_goes_by_the_judge_as_it_was(
    specreason: Specreason, servers: ScriptedPair, problems: Path, tmp_path: Path
) -> None:
    """A judge's name says nothing of how it was made when the run was recorded."""
    run = tmp_path / "run.jsonl"
    command = ["bench", "--problems", str(problems), "--out", str(run), "--judge", "likelihood"]
    specreason(*command, "--arm", "ours", *at(servers, "instruct"))
    about, *outcomes = map(json.loads, run.read_text().splitlines())
    [judge] = about["settings"]["judges"]
    judge["threshold"] = -30.0
    run.write_text("\n".join(map(json.dumps, [about, *outcomes])) + "\n")
    [row] = json.loads(specreason("rejudge", str(run), "--json").out)["rejudged"]
    assert row["threshold"] == -30
    assert row["would_accept"] == row["judged"]

    del about["settings"]["judges"]
    run.write_text("\n".join(map(json.dumps, [about, *outcomes])) + "\n")
    done = specreason("rejudge", str(run))
    assert (done.status, "does not say how its judges were made" in done.err) == (2, True), done.err
    assert specreason("rejudge", str(run), "--judge", "likelihood").status == 0


@pytest.mark.parametrize(("said", "gate"), [([], "always"), (["--gate", "auto"], "auto")])
def test_drafts_are_made_at_any_load_unless_a_gate_is_asked_for(
    specreason: Specreason, servers: ScriptedPair, problems: Path, tmp_path: Path, said: list[str], gate: str
) -> None:
    """Guards acceptance rates: a gate that has base write alone would be counted as the judge's work."""
    run = tmp_path / "run.jsonl"
    command = ["bench", "--problems", str(problems), "--limit", "1", "--arm", "ours", "--out", str(run), *said]
    specreason(*command, *at(servers, "instruct"))
    assert json.loads(run.read_text().splitlines()[0])["settings"]["settings"]["gate"] == gate
