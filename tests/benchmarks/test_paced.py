"""The benchmark itself, on a plan of seconds: its figures have the shape that scripts rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from own_time import _gaps
from paced import measure
from paced_grid import Plan, cells
from paced_plots import plot, shared_out
from paced_report import show
from paced_servers import Request
from rich.console import Console

TINY = Plan(
    profiles=("h100-fp8",),
    acceptances=(50,),
    steps=2,
    tokens=5,
    recorded=0,
    speculative=(50,),
    lanes=10,
    at_once=(2,),
    servers_at_once=("ideal",),
    steps_at_once=2,
    own_steps=(2,),
    own_steps_http=(2,),
)


async def test_figures_tables_and_plots(tmp_path: Path) -> None:
    """Guards the contract: real graph, real HTTP, servers in other processes, all modes to the same transcript."""
    results, found = await measure(TINY)
    figures = json.loads(json.dumps(results))
    assert figures["simulated"] is True
    assert figures["profiles"].keys() == {"h100-fp8"}
    assert figures["profiles"]["h100-fp8"].keys() == {"ideal", "step_synchronous"}
    modes = figures["profiles"]["h100-fp8"]["ideal"]["50"]
    assert modes.keys() == {
        *("base", "sequential", "look_ahead", "hedge", "both"),
        *("base+sd", "sequential+sd", "look_ahead+sd", "hedge+sd", "both+sd"),
    }
    assert modes["base"]["ratio"] == 1
    assert modes["base+sd"]["ratio"] > 1
    for figure in modes.values():
        assert figure["seconds"] > 0
        assert 0.1 < figure["efficiency"] < 1.05
    assert modes["both"]["base_tokens"] > 0
    assert figures["own_ms"]["graph"].keys() == {"2"}
    assert figures["own_ms"]["critical_path"].keys() == {"2"}
    assert figures["concurrent"].keys() == {"2"}
    assert 0 < figures["concurrent"]["2"]["efficiency"] < 1.05

    console = Console(record=True, width=200)
    show(figures, console)
    assert console.export_text().count("simulated: ") == 3

    paths = plot(found, figures, tmp_path / "plots")
    assert [path.name for path in paths] == [f"{kind}-h100-fp8.png" for kind in ("speed-up", "time", "timeline")]
    assert all(path.stat().st_size > 5000 for path in paths)


def test_modes_take_turns() -> None:
    """Guards against a drift of the machine that always meets the same mode."""
    first = [cell.mode for cell in cells(Plan(profiles=("h100-fp8",), speculative=())) if cell.acceptance == "10"]
    second = [cell.mode for cell in cells(Plan(profiles=("h100-fp8",), speculative=())) if cell.acceptance == "20"]
    assert first[:2] == ["base", "sequential"]
    assert second[:2] == ["sequential", "look_ahead"]


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
