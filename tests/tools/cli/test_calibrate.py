"""`specreason calibrate` as a user runs it, and its policy in a run, on scripted servers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from specreason_graph.testing import Script, ScriptedPair

from .conftest import Specreason, at, serving

COUNT = 9
STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", r"So \boxed{12}."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", r"So \boxed{11}."]


def base(transcript: str) -> str:
    """Believes what is written: behind 11 legs it concludes 11."""
    return Script(WRONG if "= 11 legs" in transcript else STEPS).rest(transcript, thinking=False, opens=False)


@pytest.fixture
def servers() -> Iterator[ScriptedPair]:
    draft = Script([*WRONG[:2], STEPS[2]])
    with serving(Script(base, judge_mark="last reasoning step"), draft, "instruct") as pair:
        yield pair


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "cows.jsonl"
    path.write_text(f"{json.dumps({'problem': 'How many legs have 3 cows?', 'answer': '12'})}\n" * COUNT)
    return path


def test_the_policy_that_it_fits_rejects_the_wrong_step_in_a_run(
    specreason: Specreason, servers: ScriptedPair, problems: Path, tmp_path: Path
) -> None:
    policy = tmp_path / "cows.json"
    files = ["--out", str(tmp_path / "run.jsonl"), "--policy", str(policy), "--plot", str(tmp_path / "curve.png")]
    files += ["--report", str(tmp_path / "report.html")]
    done = specreason("calibrate", "--problems", str(problems), "--json", *files, *at(servers, "instruct"))
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert found["steps"] == 3 * COUNT
    assert found["bad"] == COUNT
    assert found["evidence"]["likelihood.lowest"]["auroc"] == 1.0
    assert found["policy"]["path"] == str(policy)
    assert {"threshold", "acceptance", "bad_rate"} <= set(found["curve"][0])
    assert "bad" in found["verdict"]
    assert (tmp_path / "curve.png").stat().st_size > 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8").replace("&#39;", "'")
    assert found["verdict"].replace("`", "") in page

    run = json.loads(specreason("solve", "How?", "--json", "--policy-file", str(policy), *at(servers, "instruct")).out)
    assert [step["accepted"] for step in run["steps"]] == [True, False, True]
    assert run["steps"][1]["reject_reason"] == "probability"

    problems.write_text(json.dumps({"problem": "How many?", "answer": "12"}) + "\n")
    changed = specreason("calibrate", "--problems", str(problems), *files, *at(servers, "instruct"))
    assert changed.status == 2
    assert "problem cows:0 is another one" in changed.err

    refused = specreason("solve", "How?", "--policy-file", str(policy), *at(servers, "thinking"))
    assert refused.status == 2
    assert "specreason calibrate" in refused.err
