"""A calibration's page: the verdict in words, the curve, and what each piece of evidence can tell."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from browser import WIDTHS, OpenHtml, check_looks, picture
from playwright.sync_api import expect

from specreason_graph.judging.catalog import builtin
from specreason_graph.tools.calibrate.calibration import Calibration
from specreason_graph.tools.calibrate.curve import curve, lowest_within
from specreason_graph.tools.calibrate.dataset import Steps
from specreason_graph.tools.calibrate.fit import Auroc, Fit
from specreason_graph.tools.report.write import write_calibration


@pytest.fixture
def found() -> Calibration:
    random = Random(0)
    fine = [random.random() < 0.8 for _ in range(150)]
    held_out = [min(1.0, max(0.0, random.gauss(0.75 if it else 0.45, 0.18))) for it in fine]
    problems = [f"cakes:{at // 5}" for at in range(150)]
    points = curve(held_out, fine, problems, 30)
    told = {"likelihood.lowest": 0.84, "likelihood.mean": 0.82, "length": 0.75, "draft_lowest": 0.6}
    return Calibration(
        problems=40,
        solved=30,
        steps=Steps(builtin().judges["likelihood"], problems, fine, []),
        fit=Fit(0.0, {}, held_out, Auroc(0.86, (0.8, 0.92))),
        evidence={name: Auroc(value, (value - 0.09, min(1.0, value + 0.07))) for name, value in told.items()},
        fits={"likelihood": Auroc(0.86, (0.8, 0.92))},
        curve=points,
        chosen=lowest_within(points, bad_rate=0.05),
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_can_be_read(width: int, scheme: str, found: Calibration, open_html: OpenHtml, tmp_path: Path) -> None:
    write_calibration(found, Path("runs/policy.json"), tmp_path / "report.html")
    page = open_html((tmp_path / "report.html").read_text(encoding="utf-8"), width=width, scheme=scheme)
    check_looks(page, width)
    picture(page, f"calibration-{width}-{scheme}", full_page=True)
    expect(page.locator(".verdict")).to_contain_text("150 labelled steps of 30 problems")
    expect(page.locator("table.evidence tbody th").first).to_have_text("fitted on likelihood")
    expect(page.locator(".report")).to_contain_text("runs/policy.json")
    assert found.chosen is not None
    expect(page.locator(".verdict")).to_contain_text(f"{found.chosen['threshold']:.3f}")
