"""A replayed run must be the recorded one: the same counts of tokens, the same verdicts, in every mode."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest
from paced_traces import RECORDED_RUNS, Trace, TraceStep, record, recorded, synthetic

from specreason_graph.contract.errors import ConfigError
from specreason_graph.testing import Script, tokenizer

MIXED = Trace((TraceStep(23, 23, True), TraceStep(40, 7, False), TraceStep(2, 2, True), TraceStep(9, 30, False)), 1)


def counts(script: Script) -> list[int]:
    """Tokens of each step where another follows, the blank line included."""
    steps = cast(Sequence[str], script.steps)
    return [len(tokenizer("a").encode(f"{step}\n\nx")) - 1 for step in steps]


def test_scripts_have_the_tokens_of_their_trace() -> None:
    """Guards the replay: what is measured is a run of exactly these lengths."""
    base, draft = MIXED.scripts()
    assert counts(draft) == [23, 40, 2, 9]
    assert counts(base) == [23, 7, 2, 30]
    assert list(cast(Sequence[float], base.scores)) == [9, 1, 9, 1]


def test_base_would_have_written_an_accepted_step_to_the_letter() -> None:
    """Guards the hedge: which version is kept must not change the rest of the run."""
    base, draft = MIXED.scripts()
    same = [ours == theirs for ours, theirs in zip(base.steps, draft.steps, strict=True)]  # type: ignore[arg-type]
    assert same == [True, False, True, False]


@pytest.mark.parametrize("acceptance", [0.1, 0.4, 0.8, 0.95])
def test_synthetic_traces_accept_exactly_their_share(acceptance: float) -> None:
    """Guards the axis of the plots, and that a trace is the same whenever it is made."""
    trace = synthetic(acceptance, steps=40, tokens=23, seed=3)
    assert trace.acceptance == acceptance
    assert trace == synthetic(acceptance, steps=40, tokens=23, seed=3)


def test_accepts_and_rejects_come_in_runs() -> None:
    """Guards the shape of logged runs: at 86 %, an accept is followed by another in 94 %, a reject by one in 37 %."""
    verdicts = [step.accepted for seed in range(40) for step in synthetic(0.86, steps=100, tokens=2, seed=seed).steps]
    behind = {True: list[bool](), False: list[bool]()}
    for before, after in pairwise(verdicts):
        behind[before].append(after)
    assert sum(behind[True]) / len(behind[True]) == pytest.approx(0.94, abs=0.02)
    assert sum(behind[False]) / len(behind[False]) == pytest.approx(0.37, abs=0.06)


def test_a_journal_gives_its_counts_and_nothing_else(tmp_path: Path) -> None:
    """Guards users' runs: no text of a problem may get into a trace; runs with unjudged steps can't be replayed."""

    def outcome(*steps: tuple[int, int, bool | None], arm: str = "ours") -> dict[str, Any]:
        keys = ("draft_tokens", "base_tokens", "accepted")
        return {
            "problem": "secret",
            "arm": arm,
            "steps": [dict(zip(keys, step, strict=True), text="secret") for step in steps],
        }

    journal, out = tmp_path / "runs.jsonl", tmp_path / "recorded.json"
    lines = [
        {"settings": {"base_model": "big", "problems": "secret"}},
        outcome((30, 0, True), (20, 50, False)),
        outcome((0, 12, None), (30, 0, True)),
        outcome(),
        outcome((30, 0, True), arm="paper"),
    ]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert record(journal, "ours", out) == 1
    assert "secret" not in out.read_text()
    assert [trace.steps for trace in recorded(9, out)] == [(TraceStep(30, 30, True), TraceStep(20, 50, False))]


def test_a_journal_without_such_runs_is_refused(tmp_path: Path) -> None:
    """Guards the message: it says what is missing."""
    journal = tmp_path / "runs.jsonl"
    journal.write_text('{"settings": {}}\n{"arm": "paper", "steps": [{"accepted": true}]}\n')
    with pytest.raises(ConfigError, match="no run of arm 'ours' whose every step was drafted"):
        record(journal, "ours", tmp_path / "out.json")
    with pytest.raises(ConfigError, match="make one with --record"):
        recorded(1, journal)


def test_the_recorded_runs_can_be_replayed() -> None:
    """Guards the data file."""
    traces = recorded(1000)
    assert len(traces) == len(json.loads(RECORDED_RUNS.read_text())["problems"])
    assert all(counts(trace.scripts()[1]) == [step.drafted for step in trace.steps] for trace in traces)
