"""`specreason doctor` as a person or a script runs it."""

import json

from specreason_graph.testing import Script

from .conftest import Specreason, at, serving

STEP = "There are 3 cows and each has 4 legs, so we multiply 3 by 4 and find that there are 12 legs."
SCRIPT = Script([STEP, "So 12."], scores=[7.4])
GONE = ["--base-url", "http://127.0.0.1:9", "--draft-url", "http://127.0.0.1:9"]


def test_json_is_one_object_with_the_promised_fields(specreason: Specreason) -> None:
    with serving(SCRIPT, SCRIPT) as servers:
        done = specreason("doctor", "How many legs have 3 cows?", *at(servers), "--json")
    assert (done.status, done.err) == (0, "")
    said = json.loads(done.out)
    expected = {"modes", "advice", "acceptance", "overlap", "decode"}
    assert said.keys() == {"checks", "step", "judge", "ok", *expected}
    assert list(said["modes"]) == ["base", "base+decode", "specreason", "specreason+decode"]
    assert said["advice"].endswith(".")
    assert all(check.keys() == {"name", "role", "state", "found", "fix"} for check in said["checks"])
    assert said["ok"] is True
    assert said["step"]["text"].strip() == STEP
    assert {"judge", "labels", "label_probs", "label_mass", "score", "threshold", "accepted"} <= said["judge"].keys()


def test_a_person_sees_a_table_of_80_columns_the_step_and_the_label_distribution(specreason: Specreason) -> None:
    with serving(SCRIPT, SCRIPT) as servers:
        done = specreason("doctor", *at(servers), "--threshold", "8")
    assert done.status == 0
    lines = [line.rstrip() for line in done.out.splitlines()]
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("✓  prefix cache") and "blocks of 16" in line for line in lines)
    assert "There are 3 cows and each has 4 legs" in done.out
    assert any(line.split()[:2] == ["7", "54.0%"] and "█" in line for line in lines)
    assert any("rejected, 7.00 against 8" in line for line in lines)
    assert any(line.startswith("base that decodes speculatively") and line.endswith("x") for line in lines)
    assert lines[-1].endswith("."), "it ends with advice"


def test_the_tokens_a_likelihood_judge_asked_about_are_shown(specreason: Specreason) -> None:
    with serving(Script(["It is 13."]), SCRIPT) as servers:
        out = specreason("doctor", *at(servers), "--judge", "likelihood", "--spots", "3").out
    assert out.count("≤ ") > 0, "base finds another's wording unlikely"
    assert "log-prob. by base" in out


def test_what_is_wrong_says_its_fix_and_fails(specreason: Specreason) -> None:
    done = specreason("doctor", *GONE)
    assert done.status == 1
    assert "✗  server" in done.out
    assert done.out.count("fix: start the server") == 2
    failed = json.loads(specreason("doctor", *GONE, "--json").out)
    assert (failed["ok"], failed["step"], failed["judge"]) == (False, None, None)
    assert (failed["modes"], failed["advice"]) == (None, None)


def test_bad_usage_is_one_line(specreason: Specreason) -> None:
    for arguments in (["doctor", " ", *GONE], ["doctor", *GONE, "--policy-file", "no/such.json"]):
        done = specreason(*arguments)
        assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
