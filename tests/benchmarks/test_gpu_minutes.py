"""Few minutes of a GPU go to what tells most, and what they are spent on is known before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from gpu import FEW_MINUTES, main
from gpu_budget import Budget
from gpu_cells import PLAIN, Cell, Extent, JudgeCall, Runs, Tokens, alone, in_groups, telling
from gpu_estimate import Found, nothing, seconds, timings, warm_up
from gpu_models import BATCH, models, shapes
from gpu_profile import block, flaw, profile
from gpu_results import Results, key, read
from real_vllm import environment
from tools.launch.processes import Processes
from typer.testing import CliRunner

from specreason_graph.tools.launch import LaunchPlan
from specreason_graph.tools.profiles import Profile, profiles

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
RANKED = telling(FEW_MINUTES, "draft_model")
ORDER = in_groups(RANKED)
BASE, DRAFT, SCORE = Tokens(PLAIN, "base"), Tokens(PLAIN, "draft"), JudgeCall(PLAIN, "score", 1024)


def spent(minutes: float | None, slower: float = 1.0) -> tuple[dict[Cell, float], dict[Cell, str]]:
    """What is measured in so many minutes of servers at the profile's pace, runs some times slower; and what is not."""
    budget, took, left_out = Budget(RANKED, FEW_MINUTES, nothing, minutes), dict[Cell, float](), dict[Cell, str]()
    for at, cell in enumerate(ORDER):
        if (why := budget.why_not(cell, ORDER[at + 1 :])) is not None:
            left_out[cell] = why
            continue
        took[cell] = seconds(cell, FEW_MINUTES, nothing) * (slower if isinstance(cell, Runs) else 1.0)
        budget.measured(cell, took[cell])
    return took, left_out


def test_eight_minutes_hold_all_of_the_issues_cells() -> None:
    """Computed at the H100's pace, with the warm-ups: a third of the time is left for what no formula knows."""
    total = sum(seconds(cell, FEW_MINUTES, nothing) for cell in RANKED)
    total += sum(warm_up(decode, FEW_MINUTES, nothing) for decode in (PLAIN, "draft_model"))
    assert 200 < total < 480 * 2 / 3
    assert spent(8)[1] == {}
    runs = {(cell.decode, cell.mode, cell.acceptance, cell.at_once) for cell in RANKED if isinstance(cell, Runs)}
    for at_once in (1, 8):
        for decode in (PLAIN, "draft_model"):
            assert (decode, "base", None, at_once) in runs
            assert {(decode, "both", share, at_once) for share in (50, 80)} <= runs
        assert {(PLAIN, "sequential", share, at_once) for share in (50, 80)} <= runs


def test_what_others_are_told_in_comes_first_and_base_is_restarted_once() -> None:
    for order in (RANKED, ORDER):
        assert len(set(order)) == len(order)
        for at, cell in enumerate(order):
            assert Tokens(cell.decode, "base") in [*order[:at], cell]
            assert not isinstance(cell, Runs) or alone(cell) in [*order[:at], cell]
    decodes = [cell.decode for cell in ORDER]
    assert decodes == sorted(decodes, key=[PLAIN, "draft_model"].index)


@pytest.mark.parametrize("minutes", [1, 2, 3, 4])
def test_fewer_minutes_keep_what_tells_most(minutes: float) -> None:
    """Also what is measured only behind base's restart: what tells less gives way to it."""
    took, left_out = spent(minutes)
    assert sum(took.values()) <= 60 * minutes
    assert len(left_out) == len(RANKED) - len(took) > 0
    dear = next(at for at, cell in enumerate(RANKED) if cell in left_out)
    assert set(RANKED[:dear]) <= took.keys()
    if minutes == 3:
        assert Runs("draft_model", "both", 80) in took
        assert "are for what tells more" in left_out[Runs(PLAIN, "base", None, 8)]
        assert "is missing, in which it is told" in left_out[Runs(PLAIN, "both", 80, 8)]


def test_where_not_even_a_token_of_base_fits_nothing_is_started() -> None:
    reasons = Budget(RANKED, FEW_MINUTES, nothing, 0.1).nothing_fits(ORDER, ())
    assert reasons.keys() == set(RANKED)
    assert reasons[BASE] == "it takes some 8 s, and 6 s are left"


def test_runs_that_are_slower_than_computed_leave_more_out() -> None:
    took, left_out = spent(8, slower=2.5)
    assert Runs("draft_model", "both", 50) in took
    assert Runs(PLAIN, "sequential", 80, 8) in left_out
    assert sum(took.values()) < 1.1 * 480
    assert spent(None, slower=100)[1] == {}, "without minutes there is no hurry"


def known(cells: dict[Cell, dict[str, Any]]) -> Found:
    return lambda cell: cells.get(cell)


def test_what_was_measured_replaces_the_profile() -> None:
    """And what was not is as much slower as base's token is."""
    cells: dict[Cell, dict[str, Any]] = {BASE: {"token_ms": 220.0, "first_token_ms": 240.0}}
    guessed, profiled = timings(PLAIN, FEW_MINUTES, known(cells)), profiles()["h100-bf16"].timings
    assert guessed.base_first == pytest.approx(0.24)
    assert guessed.draft_token == pytest.approx(10 * profiled.draft_token)
    assert guessed.judge == pytest.approx(10 * profiled.judge)
    takes = seconds(Runs(PLAIN, "base", None), FEW_MINUTES, known(cells))
    assert takes == pytest.approx(3 * 512 * 0.22, rel=0.02)
    cells |= {DRAFT: {"token_ms": 5.0, "first_token_ms": 6.0}, SCORE: {"ms": 300.0}}
    found = timings(PLAIN, FEW_MINUTES, known(cells))
    assert (found.draft_token, found.draft_first, found.judge) == pytest.approx((0.005, 0.006, 0.3))
    cells |= {Tokens("ngram", "base"): {"token_ms": 100.0}}
    assert timings("ngram", FEW_MINUTES, known(cells)).base_token == pytest.approx(0.1)


def test_base_with_a_draft_model_inside_has_room_for_eight_runs(tmp_path: Path, tokenizer: Path) -> None:
    """On one 80 GB card beside the draft's server: weights of both, and a cache for all that runs have at a time."""
    plan = LaunchPlan(base="qwen2.5-32b", draft="qwen2.5-1.5b")
    served = models(plan, tokenizer, tmp_path, card_gib=79.6, sequences=FEW_MINUTES.sequences)
    base, draft = shapes()["qwen2.5-32b"], shapes()["qwen2.5-1.5b"]
    share = served.plan.gpu_memory[0]
    assert share is not None
    per_token = sum(4 * it.num_hidden_layers * it.num_key_value_heads * 128 for it in (base, draft)) / 2**30
    working = BATCH * 4 * base.intermediate_size / 2**30 + 1.5  # of the largest layer, and of graphs and sampling
    room = share * 79.6 - base.gib - draft.gib - working
    assert room / per_token > 8 * (FEW_MINUTES.run_tokens + 200)
    assert FEW_MINUTES.sequences == 16
    assert Extent().sequences == 64


def document(**cells: dict[str, Any]) -> dict[str, Any]:
    machine = {"cards": [{"name": "NVIDIA H100", "gib": 79.6}], "vllm": "0.32.0"}
    about = {"base": "qwen2.5-32b", "draft": "qwen2.5-1.5b", "weights": "dummy", "machine": machine}
    figures: dict[str, Any] = {
        key(BASE): {"token_ms": 20.5, "first_token_ms": 23.0},
        key(DRAFT): {"token_ms": 2.25, "first_token_ms": 4.0},
        key(SCORE): {"ms": 27.0, "prefilled_tokens": 97},
    }
    return {"date": "2026-01-01", "about": about, "cells": figures | cells}


def test_figures_become_a_profile_that_can_be_pasted() -> None:
    figures = profile(document())
    assert figures is not None
    assert flaw(figures) is None
    table = tomllib.loads(block("my-card", figures))["my-card"]
    pasted = Profile.model_validate(table)
    assert (pasted.base_ms, pasted.draft_ms, pasted.judge_ms) == (20.5, 2.25, 27.0)
    assert (pasted.judge_tokens, pasted.round_trip_ms) == (97, 1.75)
    assert pasted.source["per_sequence"] == "ASSUMED"
    assert pasted.source.keys() == profiles()["h100-bf16"].source.keys()


def test_what_was_measured_of_eight_at_once_and_of_a_real_draft_is_in_the_profile() -> None:
    shape = {"mode": "base", "decode": PLAIN}
    runs = {
        key(Runs(PLAIN, "base", None)): {**shape, "at_once": 1, "tokens_per_second": 50.0},
        key(Runs(PLAIN, "base", None, 8)): {**shape, "at_once": 8, "tokens_per_second": 320.0},
    }
    real = document(**runs, **{key(Tokens("draft_model", "base")): {"token_ms": 10.0}})
    real["about"]["weights"] = "real"
    figures = profile(real)
    assert figures is not None
    assert figures["per_sequence"] == pytest.approx(0.25 / 7)
    assert figures["tokens_a_pass"] == pytest.approx((20.5 + 5 * 2.25) / 10)


def test_figures_that_can_be_no_profile_are_told_so() -> None:
    assert profile({**document(), "cells": {}}) is None
    figures = profile(document(**{key(SCORE): {"ms": 15.0, "prefilled_tokens": 97}}))
    assert figures is not None
    assert "judge_ms leaves nothing" in (flaw(figures) or "")


def test_why_a_cell_was_left_out_stands_in_the_file_until_the_next_call(tmp_path: Path) -> None:
    path = tmp_path / "gpu.json"
    Results(path, {}, "2026-01-01").left_out(BASE, "no time")
    assert read(path)["left_out"] == {key(BASE): "no time"}
    assert Results(path, {}, "2026-01-01").document["left_out"] == {}


def gpu(*arguments: object) -> str:
    """Run the script; what it printed."""
    done = subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def here(*arguments: object) -> str:
    """The same in this process, where no server is needed."""
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, [str(argument) for argument in arguments]).output


def test_a_dry_run_needs_no_card_and_starts_nothing() -> None:
    said = here("--minutes", 8, "--dry-run")
    assert "8 minutes, computed" in said
    assert "left out" not in said
    assert here("--minutes", 3, "--dry-run").count("left out") > 3
    assert "leave out --part" in here("--minutes", 3, "--part", "judge")


@pytest.mark.timeout(300)
def test_servers_are_started_once_and_a_second_call_measures_what_was_left_out(
    processes: Processes, tmp_path: Path
) -> None:
    """On scripted servers, whose figures mean nothing: the draft's server stays while base is restarted."""
    file, out = tmp_path / "plan.toml", tmp_path / "gpu.json"
    table = {**processes.plan(), "python": sys.executable, "device": "cpu", "decode": "ngram"}
    file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items()))
    few = ("--acceptance", 50, "--run-tokens", 32, "--calls", 2, "--at-once", 1, "--out", out)
    gpu(file, "--minutes", 0.1, *few)
    first = read(out)
    assert (first["cells"], first["starts"]) == ({}, {}), "no server is started for nothing"
    assert key(BASE) in first["left_out"]
    gpu(file, "--minutes", 8, *few)
    done = read(out)
    assert (done["failed"], done["left_out"]) == ({}, {})
    extent = Extent(contexts=(1024,), acceptances=(50,), at_once=(1,), run_tokens=32, calls=2)
    assert done["cells"].keys() == {key(cell) for cell in telling(extent, "ngram")}
    assert done["starts"].keys() == {"base", "base, decode ngram", "draft"}
    assert processes.alive() == {}
    assert "These figures as a profile" in here("--show", "--out", out)


@pytest.mark.real_vllm
@pytest.mark.timeout(900)
@pytest.mark.skipif(
    "SPECREASON_REHEARSE" not in os.environ,
    reason="on two cores, overlapping runs of two vLLM servers stall for a minute now and then: SPECREASON_REHEARSE=1",
)
def test_the_very_command_is_rehearsed_on_real_vllm(tmp_path: Path) -> None:
    """On a CPU, with dummies of next to no size: what a GPU's quarter of an hour would be lost to find wrong."""
    file, out = tmp_path / "plan.toml", tmp_path / "gpu.json"
    file.write_text(
        'base = "tiny-base"\ndraft = "tiny-draft"\nbase_port = 0\ndraft_port = 0\ndevice = "cpu"\ncpu_kv_cache = 1\n'
        f"python = {json.dumps(str(environment.python()))}\nlog_dir = {json.dumps(str(tmp_path))}\n"
    )
    tokenizer = environment.model("qwen2.5-coder-0.5b")
    few = ("--run-tokens", 32, "--rounds", 1, "--calls", 2, "--at-once", 1, "--at-once", 2)
    said = gpu(file, "--tokenizer", tokenizer, "--minutes", 8, *few, "--out", out)
    found = read(out)
    assert found["failed"] == {}
    assert found["about"]["machine"]["vllm"] == environment.VERSION
    assert {"base", "base, decode draft_model", "draft"} == found["starts"].keys()
    measured = {cell["decode"] for cell in found["cells"].values() if cell.get("mode") == "both"}
    assert measured == {PLAIN, "draft_model"}
    assert found["cells"][key(SCORE)]["cached_tokens"] == 1024
    assert "These figures as a profile" in said
