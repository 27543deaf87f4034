"""The soak that CI runs: `python -m soak --small`, and a database that crashes under some runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from .flat import Figures
from .questions import scripted
from .tally import Tally

TESTS = Path(__file__).parents[1]


def soaked(*options: str) -> dict[str, Any]:
    """The last line of a soak that ended well."""
    command = [sys.executable, "-m", "soak", *options]
    done = subprocess.run(command, cwd=TESTS, capture_output=True, text=True, encoding="utf-8", timeout=100)
    if done.returncode == 2 and "PostgreSQL" in done.stderr and "CI" not in os.environ:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return last


def test_a_hundred_questions_with_faults_and_kills() -> None:
    """Guards everything kept: whatever fails, each run comes to its answer with each step once."""
    last = soaked("--small")
    assert (last["questions"], last["answered"], last["lost"], last["doubled"]) == (100, 100, 0, 0)
    assert last["untyped"] == 0
    assert min(last["faults"], last["stopped"], last["cancelled"], last["killed"]) > 0
    assert all(len(last[name]) == 2 for name in ("rss_mb", "tasks", "sockets", "threads"))


def test_a_database_that_crashes_in_the_middle() -> None:
    """Guards what was told as kept: it was on disk."""
    last = soaked("--questions", "0", "--postgres", "36", "--embedded", "0", "--faults", "0.02")
    assert (last["answered"], last["lost"], last["doubled"], last["untyped"]) == (36, 0, 0, 0)
    assert last["stopped"] > 0


QUESTION = scripted(0, 1)
STEPS = [{"index": n, "text": f"{text}\n\n"} for n, text in enumerate(QUESTION.steps or ())]


def state(steps: list[Any], *answers: str) -> dict[str, Any]:
    replies = [AIMessage(text) for text in answers or [str(QUESTION.answer)]]
    return {"specreason_steps": steps, "messages": [HumanMessage(QUESTION.text), *replies]}


@pytest.mark.parametrize(
    ("told", "ended", "counted"),
    [
        (STEPS, state(STEPS), {}),
        (STEPS, state(STEPS[:-1]), {"lost": 2}),  # a step that was told, and one that had to come
        (STEPS[:1], state([STEPS[0] | {"seconds": 2.0}, *STEPS[1:]]), {"doubled": 1}),
        ([], state([STEPS[0], *STEPS]), {"doubled": 1 + len(STEPS)}),
        ([], state([STEPS[0], STEPS[1] | {"text": "Of another question."}, *STEPS[2:]]), {"lost": 2}),
        ([], state(STEPS, str(QUESTION.answer), str(QUESTION.answer)), {"doubled": 1}),
        ([], state(STEPS, "Another one."), {"lost": 1}),
    ],
    ids=["right", "lost", "made again", "twice", "another's", "two replies", "another answer"],
)
def test_what_is_lost_or_doubled_is_counted(told: list[Any], ended: Any, counted: Mapping[str, int]) -> None:
    """Guards the zeros of a soak."""
    tally = Tally()
    tally.answered(QUESTION, {step["index"]: step for step in told}, ended)
    assert tally.counts == {"answered": 1, **counted}
    assert len(tally.problems) == sum(counted.values())


def test_what_grows_is_told() -> None:
    first = Figures(rss_mb=120.0, tasks=1, sockets=20, threads=2)
    assert first.grown(first._replace(rss_mb=110.0)) == []
    assert first._replace(rss_mb=190.0, tasks=50).grown(first) == [
        "rss_mb: 120.0 at first, 190.0 at last",
        "tasks: 1 at first, 50 at last",
    ]


def test_a_question_is_the_same_for_each_of_its_lives() -> None:
    assert scripted(4, 7) == scripted(4, 7)
    assert scripted(4, 7) != scripted(5, 7)
