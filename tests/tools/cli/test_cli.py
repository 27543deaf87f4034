"""The command as a person or a script runs it, against scripted servers on loopback."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from drawings import drawing, file
from serving import Held

from specreason_graph.testing import Fault, Script, ScriptedServer
from specreason_graph.tools.cli.app import app

from .conftest import Specreason, at, serving

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
QUESTION = "How many legs have 3 cows?"


def test_json_is_one_object_with_the_promised_fields(specreason: Specreason) -> None:
    with serving(Script(STEPS, answer="12", scores=[9, 3, 9]), Script(STEPS)) as servers:
        done = specreason("solve", QUESTION, *at(servers), "--first-steps", "1", "--json")
    assert (done.status, done.err) == (0, "")
    outcome = json.loads(done.out)
    assert (outcome["answer"], outcome["ended"]) == ("12", "finished")
    assert [step["source"] for step in outcome["steps"]] == ["base", "base", "draft"]
    assert [step["accepted"] for step in outcome["steps"]] == [None, False, True]
    promised = {"index", "text", "source", "accepted", "reject_reason", "score", "threshold", "label_probs"}
    promised |= {"label_mass", "spots", "draft_tokens", "base_tokens", "seconds", "rejected_text"}
    assert all(promised <= step.keys() for step in outcome["steps"])
    usage = {"prompt_tokens", "cached_tokens", "completion_tokens", "discarded_tokens", "requests", "seconds"}
    assert outcome["usage"].keys() == {"draft", "base", "judge"}
    assert all(role.keys() == usage for role in outcome["usage"].values())


def test_a_person_sees_who_wrote_each_step_and_what_became_of_it(specreason: Specreason) -> None:
    with serving(Script(STEPS, answer="12", scores=[9, 3, 9]), Script(STEPS)) as servers:
        done = specreason("solve", "-", *at(servers), stdin=QUESTION)
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    assert "1 draft ✓ 9.00 There are 3 cows." in lines
    assert "2 draft ✗ 3.00 3 * 4 = 12 legs." in lines
    assert "2 base 3 * 4 = 12 legs." in lines
    assert any("2 of 3 drafts accepted (67%), 52% of the kept tokens by the draft" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["solve"], 2, "question"),
        (["solve", "x", "--no-such-option"], 2, "--no-such-option"),
        (["solve", "x", "--threshold", "11"], 2, "threshold"),
        (["solve", "x", "--base-url", "http://127.0.0.1:9"], 2, "--draft-url"),
        (["solve", "  ", "--json"], 2, "question"),
        (
            ["solve", "x", "--base-url", "http://127.0.0.1:9", "--draft-url", "http://127.0.0.1:9"],
            1,
            "can't be reached",
        ),
        (["solve", "x", "--base-gguf", "/no/such.gguf", "--draft-gguf", "/no/such.gguf"], 2, "such.gguf"),
        (["pull", "no-such-pair"], 2, "qwen2.5-coder"),
    ],
)
def test_bad_input_gets_one_clear_line(arguments: list[str], status: int, says: str, specreason: Specreason) -> None:
    done = specreason(*arguments)
    assert (done.status, done.out) == (status, "")
    assert says in done.err.lower() or says in done.err
    assert "Traceback" not in done.err
    if done.err.startswith("specreason: "):
        assert done.err.count("\n") == 1


def test_a_run_that_stops_without_an_answer_says_so(specreason: Specreason) -> None:
    with serving(Script(STEPS, answer=" "), Script(STEPS)) as servers:
        done = specreason("solve", QUESTION, *at(servers), "--json")
    assert (done.status, json.loads(done.out)["answer"]) == (3, None)


def test_an_error_on_the_way_loses_no_step(specreason: Specreason) -> None:
    with serving(Script(STEPS, scores=[9, 0]), Script(STEPS)) as servers:
        servers.base.fail(
            Fault("status", status=400, after=3), times=None
        )  # only streams: base can judge, but not write
        done = specreason("solve", QUESTION, *at(servers), "--json")
    assert done.status == 1
    assert [step["text"] for step in json.loads(done.out)["steps"]] == ["There are 3 cows.\n\n"]
    assert done.err.startswith("specreason: base endpoint")


@pytest.mark.parametrize("as_json", [True, False])
def test_ctrl_c_shows_what_was_reached_and_stops_the_servers(as_json: bool, until: Callable[..., None]) -> None:
    with serving(Script(STEPS), Held(Script(STEPS), role="draft", free=1)) as servers:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "specreason_graph.tools.cli",
                "solve",
                QUESTION,
                *at(servers),
                "--no-look-ahead",  # one request a step, so that the second one can be waited for
                *(["--json"] if as_json else []),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: len(servers.draft.completions) == 2 and servers.draft.running)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        until(lambda: not servers.draft.running)
    assert (process.returncode, err) == (130, "")
    if as_json:
        assert [step["text"] for step in json.loads(out)["steps"]] == ["There are 3 cows.\n\n"]
    else:
        assert "There are 3 cows." in out
        assert "stopped" in out


def test_every_command_explains_itself(specreason: Specreason) -> None:
    top = specreason("--help").out
    assert all(name in top for name in ("solve", "demo", "pull"))
    text = specreason("solve", "--help").out
    assert all(option in text for option in ("--threshold", "--score-method", "--base-url", "--deadline"))
    assert "Exit status" in text


@pytest.mark.parametrize("template", ["think", "instruct"])
def test_a_question_is_what_was_asked_unless_a_box_is_asked_for(template: str, specreason: Specreason) -> None:
    preset = "thinking" if template == "think" else template
    asked = {}
    for options in ((), ("--boxed",)):
        with serving(Script(STEPS, answer="12"), Script(STEPS), template) as servers:
            specreason("solve", QUESTION, *at(servers, preset), *options)
            spell = servers.base.model.tokenizer.spell
            asked[options] = spell(servers.base.completions[0].prompts[0]).decode()
    assert [("boxed" in text) for text in asked.values()] == [False, True]
    assert QUESTION in asked[()]


@pytest.mark.parametrize(
    ("command", "shown", "hidden"),
    [
        ("solve", ["--boxed"], ["--tools", "--tool-choice", "--parallel-tool-calls", "--turn-reasoning-budget"]),
        ("serve", ["--boxed", "--turn-reasoning-budget"], ["--tools"]),
        ("bench", [], ["--boxed", "--tools", "--turn-reasoning-budget"]),
    ],
)
def test_a_command_has_the_options_that_mean_something_to_it(command: str, shown: list[str], hidden: list[str]) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    options = {name for option in group.commands[command].params for name in option.opts}
    assert set(shown) <= options
    assert not set(hidden) & options


def test_the_version_is_told(specreason: Specreason) -> None:
    """For whoever reports a fault."""
    told = specreason("--version")
    assert told.status == 0
    assert told.out == f"specreason-graph {version('specreason-graph')}\n"


def test_a_question_has_the_images_of_its_options(specreason: Specreason, tmp_path: Path) -> None:
    """In their order, before the text."""
    for colour in ("red", "blue"):
        (tmp_path / f"{colour}.png").write_bytes(file(colour))
    images = ["--image", str(tmp_path / "red.png"), "--image", str(tmp_path / "blue.png")]
    base, draft = [
        ScriptedServer(
            Script(STEPS, answer="12"), template="think", sees=True, scale_out=True, model=f"scripted-{role}"
        )
        for role in ("base", "draft")
    ]
    with serving(base, draft) as servers:
        done = specreason("solve", QUESTION, *at(servers), *images)
        asked = [record.body["content_parts"] for record in base.requests if record.path == "/inference/v1/generate"]
    assert done.status == 0
    assert [part["uuid"] for part in asked[-1]] == [drawing(colour).uuid for colour in ("red", "blue")]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.png", "can't read"),
        ("text.png", "no PNG, JPEG, WebP or GIF"),
        (".", "can't read"),
        ("/dev/zero", "bytes is more than"),
    ],
)
def test_a_file_that_is_no_image_is_refused_in_one_line(
    specreason: Specreason, tmp_path: Path, name: str, says: str
) -> None:
    (tmp_path / "text.png").write_text("no image")
    with serving(Script(STEPS), Script(STEPS)) as servers:
        done = specreason("solve", QUESTION, *at(servers), "--image", str(tmp_path / name))
        assert not servers.base.requests
    assert done.status == 2
    assert done.err.startswith("specreason: image: ")
    assert says in done.err
    assert done.err.count("\n") == 1
