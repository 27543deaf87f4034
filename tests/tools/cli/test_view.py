"""A page of a recorded run, as a person or a script makes it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import webbrowser
from contextlib import nullcontext
from pathlib import Path

import pytest

from specreason_graph.testing import Fault, Script

from ..journals import RECORDED, journal
from .conftest import Specreason, at, serving

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
QUESTION = "How many legs have 3 cows?"


def test_a_file_of_solve_becomes_a_page_that_names_no_address(specreason: Specreason, tmp_path: Path) -> None:
    done = specreason("view", str(RECORDED), "--out", str(tmp_path / "run.html"))
    assert (done.status, done.out) == (0, "")
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "Rose went to the store" in page
    assert not re.search(r"https?:|//[a-z]|src=|<link|@import|url\((?!#)", page)


def test_solve_s_output_is_piped_into_view(specreason: Specreason, tmp_path: Path) -> None:
    out = tmp_path / "run.html"
    with serving(Script(STEPS, answer="12", scores=[9, 3, 9]), Script(STEPS)) as servers:
        solved = specreason("solve", QUESTION, *at(servers), "--json")
    done = specreason("view", "-", "--out", str(out), stdin=solved.out)
    assert done.status == 0
    page = out.read_text(encoding="utf-8")
    assert QUESTION in page
    assert "the likeliest label (this run)" in page


def test_solve_and_view_give_the_same_page(specreason: Specreason, tmp_path: Path) -> None:
    one, other = tmp_path / "one.html", tmp_path / "other.html"
    with serving(Script(STEPS, answer="12", scores=[9, 3, 9]), Script(STEPS)) as servers:
        solved = specreason("solve", QUESTION, *at(servers), "--json", "--html", str(one))
    assert solved.err == f"page: {one}\n"
    specreason("view", "-", "--out", str(other), stdin=solved.out)
    assert one.read_text(encoding="utf-8") == other.read_text(encoding="utf-8")


def test_it_opens_in_the_browser(specreason: Specreason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def show(address: str) -> bool:
        shown.append(address)
        return True

    monkeypatch.setattr(webbrowser, "open", show)
    done = specreason("view", str(RECORDED), "--open")
    assert done.status == 0
    assert shown == [Path(done.err.removeprefix("page: ").strip()).as_uri()]


def test_without_a_browser_it_is_said_that_there_is_none(
    specreason: Specreason, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As over ssh: the page is there, and its name is told."""
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    done = specreason("view", str(RECORDED), "--open")
    page, said = done.err.splitlines()
    assert (done.status, said) == (0, "there is no browser here that could show it")
    assert Path(page.removeprefix("page: ")).is_file()


@pytest.mark.parametrize("name", ["run.json", "run.json#1", "link.json", "sqlite:run.json#thread"])
def test_a_page_never_takes_the_place_of_what_it_is_made_of(
    name: str, specreason: Specreason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.json").write_bytes(RECORDED.read_bytes())
    Path("link.json").symlink_to("run.json")
    done = specreason("view", name, "--out", "run.json")
    assert (done.status, "would be lost" in done.err) == (2, True)
    assert Path("run.json").read_bytes() == RECORDED.read_bytes()


def test_a_disk_that_is_full_is_told_with_the_page_s_name(specreason: Specreason) -> None:
    done = specreason("view", str(RECORDED), "--out", "/dev/full")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "can't write the page /dev/full: No space left" in done.err


def test_json_is_what_the_page_shows(specreason: Specreason) -> None:
    done = specreason("view", str(RECORDED), "--json")
    page = json.loads(done.out)
    assert (page["accepted"], page["judged"], len(page["steps"])) == (5, 6, 6)
    assert [step["decision"] for step in page["steps"]] == ["accepted"] * 4 + ["rejected", "accepted"]
    assert page["judging"]["choices"][0]["threshold"] == -2


def test_a_problem_of_a_journal_has_an_arm(specreason: Specreason, tmp_path: Path) -> None:
    run = f"{journal(tmp_path / 'b#1.jsonl', 'base', 'paper', 'ours@-2.5')}#cakes:1"
    page = json.loads(specreason("view", run, "--arm", "ours@-2.5", "--json").out)
    assert page["about"] == "cakes:1, ours at -2.5, right"
    assert [choice["lowest"] for choice in page["judging"]["choices"] if choice["kind"] == "likelihood"] == [1, 3]
    assert json.loads(specreason("view", run, "--arm", "base", "--json").out)["steps"] == []
    done = specreason("view", run, "--json")
    assert (done.status, "base, paper, ours@-2.5" in done.err) == (2, True)


def test_an_only_arm_needs_no_name(specreason: Specreason, tmp_path: Path) -> None:
    run = f"{journal(tmp_path / 'bench.jsonl', 'paper')}#cakes:1"
    page = json.loads(specreason("view", run, "--json").out)
    assert page["about"] == "cakes:1, SpecReason as in the paper, right"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no-such-file", "--json"], "no-such-file"),
        ([str(RECORDED)], "--out"),
        ([str(RECORDED), "--json", "--arm", "ours"], "arm"),
        ([str(RECORDED), "--json", "--sample", "1"], "sample"),
        ([str(RECORDED), "--json", "--number", "1"], "number"),
        (["#x", "--json"], "can't read"),
        ([".", "--json"], "no file"),
        (["/dev/zero", "--json"], "no file"),
        ([str(Path(__file__)), "--json"], "solve --json"),
        ([f"{RECORDED}#1", "--json"], "bench"),
        ([str(RECORDED), "--out", "/proc/x/run.html"], "out"),
    ],
)
def test_what_is_no_run_gets_one_clear_line(arguments: list[str], says: str, specreason: Specreason) -> None:
    done = specreason("view", *arguments)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert says in done.err


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"steps": 3}',
        "[" * 100_000,
        '{"steps": ' + "[" * 900 + "]" * 900 + "}",
        '{"steps": [], "answer": 1}',
        "\x00",
    ],
)
def test_what_comes_from_standard_input_may_be_anything(text: str, specreason: Specreason) -> None:
    done = specreason("view", "-", "--json", stdin=text)
    assert (done.status, done.err.count("\n")) == (2, 1)


def test_the_page_of_a_run_that_failed_holds_its_steps(specreason: Specreason) -> None:
    record = json.loads(RECORDED.read_text(encoding="utf-8")) | {"answer": None, "ended": None}
    done = specreason("view", "-", "--json", stdin=json.dumps(record))
    page = json.loads(done.out)
    assert (page["answer"], page["ended"], len(page["steps"])) == (None, "it was stopped", 6)


def test_the_demo_ends_with_a_page_of_its_problems(
    specreason: Specreason, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On scripted servers in the embedded pair's place."""
    out = tmp_path / "runs" / "demo.html"
    base = Script(["There are 14 kilometres on 5 days.", r"So \boxed{88}."], scores=[9, 9])
    with serving(base, base, "instruct") as servers:
        config = servers.config.model_copy(update={"preset": "instruct"})
        monkeypatch.setattr("specreason_graph.tools.cli.app.pull_with_progress", lambda name: name)
        monkeypatch.setattr("specreason_graph.tools.cli.app.embedded_pair", lambda files: nullcontext(config))
        done = specreason("demo", "--html", str(out))
    assert done.status == 0, done.err
    assert done.err == f"page: {out}\n"
    page = out.read_text(encoding="utf-8")
    assert page.count('<article class="run"') == 3
    assert "1 of 3 right" in done.out


def test_an_error_on_the_way_leaves_a_page_of_the_steps_before_it(specreason: Specreason, tmp_path: Path) -> None:
    out = tmp_path / "run.html"
    with serving(Script(STEPS, scores=[9, 0]), Script(STEPS)) as servers:
        servers.base.fail(Fault("status", status=400, after=3), times=None)  # base can judge, but not write
        done = specreason("solve", QUESTION, *at(servers), "--html", str(out))
    assert done.status == 1
    assert "base endpoint" in done.err
    page = out.read_text(encoding="utf-8")
    assert page.count('<li class="step ') == 1
    assert "it was stopped" in page


def test_no_other_command_waits_for_what_makes_pages() -> None:
    """Templates and the page's models take time to be imported, which each `specreason --help` would pay for."""
    pages = {"jinja2", "specreason_graph.use.page.build"}
    code = f"import sys, specreason_graph.tools.cli.app; print({pages} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout == "set()\n"
