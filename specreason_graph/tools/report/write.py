"""Writes a report's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from specreason_graph.tools.bench.outcome import Outcome
from specreason_graph.tools.bench.totals import BenchReport
from specreason_graph.tools.calibrate.calibration import Calibration
from specreason_graph.tools.pages import write_page
from specreason_graph.tools.recorded_runs import page_of_outcome
from specreason_graph.tools.report.bench import bench_page
from specreason_graph.tools.report.calibration import calibration_page
from specreason_graph.use.page.render import html, runs_html
from specreason_graph.use.page.text import shown

_HERE = "specreason_graph.tools.report"


def write_bench(report: BenchReport, outcomes: Sequence[Outcome], about: Mapping[str, Any], path: Path) -> None:
    """A page of the benchmark, and in a folder beside it one of each problem's runs, arm by arm.

    Args:
        report: its totals.
        outcomes: what they were made of.
        about: the journal's first line.
        path: of the page; its folder is called as it, with `-runs` behind.
    """
    folder = path.with_name(f"{path.stem}-runs")
    folder.mkdir(exist_ok=True)
    pages = {}
    for number, problem in enumerate(dict.fromkeys(outcome["problem"] for outcome in outcomes), 1):
        runs = [page_of_outcome(about, it) for it in outcomes if it["problem"] == problem and it["sample"] == 0]
        file = folder / f"{number:04}.html"  # a problem's own name may be no name of a file
        write_page(file, runs_html(runs, shown(problem)))
        pages[problem] = quote(f"{folder.name}/{file.name}")  # the report's own name may hold anything
    page = bench_page(report, outcomes, pages)
    write_page(path, html("bench.html.j2", _HERE, title=page.title, page=page))


def write_calibration(found: Calibration, policy: Path | None, path: Path) -> None:
    """A page of the calibration.

    Args:
        found: what was found out.
        policy: the file of the policy, if one was written.
        path: of the page.
    """
    page = calibration_page(found, policy)
    write_page(path, html("calibration.html.j2", _HERE, title=page.title, page=page))
