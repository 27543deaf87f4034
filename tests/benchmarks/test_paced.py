"""The benchmark itself, on a plan of seconds: its figures have the shape that scripts rely on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from own_time import _gaps
from paced import measure
from paced_grid import Plan, jobs, minutes
from paced_load import LoadPlan
from paced_plots import plot, shared_out
from paced_report import show
from paced_servers import Request
from rich.console import Console

from specreason_graph.tools.decoding import tokens_a_pass

TINY = Plan(
    profiles=("h100-fp8",),
    acceptances=(50,),
    steps=2,
    tokens=5,
    recorded=1,
    thorough=(),
    decoded=(),
    places=1,
    lanes=10,
    at_once=(2,),
    servers_at_once=("ideal",),
    steps_at_once=2,
    load=LoadPlan("h100-fp8", servers=("ideal",), questions=(2,), acceptances=(50,), steps=2, tokens=5, wave=2),
    own_steps=(2,),
    own_steps_http=(2,),
)
TEXTS = ["1110" * 20, "0111" * 20]
EVERY = {"base", "sequential", "look_ahead", "hedge", "both"}


@pytest.fixture
def tiny(tmp_path: Path) -> Plan:
    """With two short recorded runs, and texts of base of which three tokens in four are proposed right."""
    runs, texts = tmp_path / "recorded.json", tmp_path / "accepted.json"
    runs.write_text('{"problems": [[[6, 0, true], [5, 9, false]], [[4, 12, false]]]}')
    texts.write_text(json.dumps({"about": {"placeholder": True}, "proposed": 3, "runs": TEXTS}))
    return replace(TINY, recorded_runs=runs, accepted_tokens=texts)


async def test_figures_tables_and_plots(tiny: Plan, tmp_path: Path) -> None:
    """Guards the contract: real graph, real HTTP, servers in other processes, all modes to the same transcript."""
    results, found = await measure(tiny)
    figures = json.loads(json.dumps(results))
    assert figures["simulated"] is True
    assert figures["profiles"].keys() == {"h100-fp8"}
    assert figures["profiles"]["h100-fp8"].keys() == {"ideal", "step_synchronous"}
    rows = figures["profiles"]["h100-fp8"]["ideal"]
    assert rows["50"].keys() == EVERY | {"base+decode", "both+decode"}
    assert rows["recorded"].keys() == EVERY | {f"{mode}+decode" for mode in EVERY}
    for modes in rows.values():
        assert modes["base"]["ratio"] == modes["base+decode"]["ratio_to_decode"] == 1
        for figure in modes.values():
            assert figure["ratio"] == pytest.approx(figure["ratio_to_decode"] * modes["base+decode"]["ratio"])
            assert figure["seconds"] > 0
            assert 0 < figure["efficiency"] < 1.05
    assert rows["50"]["both"]["base_tokens"] > 0
    assert figures["baselines"] == {"h100-fp8": {"decode": rows["recorded"]["base+decode"]["ratio"]}}
    assert figures["recorded"] == {
        "h100-fp8": {"problems": 1, "acceptance": pytest.approx(1 / 2), "draft_share": pytest.approx(6 / 15)}
    }
    assert figures["decoder"]["tokens_a_pass"] == pytest.approx(tokens_a_pass(TEXTS, 3))
    assert figures["crossings"]["h100-fp8"]["ideal"].keys() == {"1", "1.25"}
    assert figures["sweep"]["h100-fp8"].keys() == {"recorded"}
    assert figures["own_ms"]["graph"].keys() == {"2"}
    assert figures["own_ms"]["critical_path"].keys() == {"2"}
    assert figures["concurrent"].keys() == {"2"}
    assert 0 < figures["concurrent"]["2"]["efficiency"] < 1.05
    assert figures["load"]["ideal"].keys() == {"2", "wave"}
    assert figures["load"]["ideal"]["2"]["50"].keys() == {"auto", "always"}

    console = Console(record=True, width=200)
    show(figures, console)
    shown = console.export_text()
    assert shown.count("simulated: ") == 5
    assert "PLACEHOLDER" in shown

    paths = plot(found, figures, tmp_path / "plots")
    kinds = ("speed-up", "decode", "time", "timeline")
    assert [path.name for path in paths] == ["load.png", *(f"{kind}-h100-fp8.png" for kind in kinds)]
    assert all(path.stat().st_size > 5000 for path in paths)


def test_modes_take_turns() -> None:
    """Guards against a drift of the machine that always meets the same mode."""
    cells = [job.cell for job in jobs(Plan(profiles=("h100-fp8",), recorded=0, decoded=()))]
    first, second = ([cell.mode for cell in cells if cell.acceptance == at] for at in ("10", "20"))
    assert first[:2] == ["base", "sequential"]
    assert second[:2] == ["sequential", "look_ahead"]


def test_all_recorded_runs_are_replayed_where_it_is_thorough(tiny: Plan) -> None:
    """Guards the bar of many problems: all on one profile, few on the others, each with a measured text of its own."""
    plan = replace(tiny, profiles=("h100-bf16", "h100-fp8"), thorough=("h100-bf16",))
    runs = [job for job in jobs(plan) if job.cell.acceptance == "recorded" and job.cell.mode == "both+decode"]
    assert [job.cell.profile for job in runs] == ["h100-bf16"] * 4 + ["h100-fp8"] * 2
    assert {len(job.decoder.gives) for job in runs} == {80}
    assert minutes(plan) == pytest.approx(sum(job.least for job in jobs(plan)) / 10 / 60)


def request(call: str, began: float, ended: float) -> Request:
    return Request(call, began, ended, 0, 0, 0, aborted=False, size=0)  # type: ignore[arg-type]


def test_gaps_are_the_time_in_which_no_request_is_answered() -> None:
    """Guards our own time with HTTP: overlapping requests are counted once, a step is judge to judge."""
    requests = [
        request("draft", 0, 1),
        request("judge", 3, 4),
        request("draft", 4.5, 6),
        request("base", 5, 9),
        request("draft", 9.25, 10),
        request("judge", 11, 12),
    ]
    assert _gaps(requests) == [pytest.approx(0.5 + 0.25 + 1)]


def test_time_is_the_judges_then_the_drafts_then_bases() -> None:
    """Guards the bars: they add up to the wall-clock, whatever overlaps."""
    requests = [request("base", 0, 10), request("draft", 0, 3), request("judge", 2, 4)]
    assert shared_out(12, requests) == {"draft": 2, "judge": 2, "base": 6, "nobody": 2}
