"""A benchmark's page: its figures are those of the report, and it can be read at every width."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from browser import WIDTHS, OpenHtml, check_looks, picture
from playwright.sync_api import expect

from specreason_graph.tools.bench.outcome import Outcome
from specreason_graph.tools.bench.totals import bench_report
from specreason_graph.tools.report.chart import Axis, Dot, in_rows
from specreason_graph.tools.report.write import write_bench

DATA = Path(__file__).parents[2] / "data" / "recorded_run.json"
ABOUT = {
    "settings": {"judge": "likelihood"}, "preset": "qwen2.5-coder", "problems": "cakes.jsonl", "judge": "likelihood",
    "base_model": "qwen2.5-coder-1.5b", "draft_model": "qwen2.5-coder-0.5b", "policy": None, "concurrency": 1,
}  # fmt: skip
ARMS = ("base", "draft", "ours", "ours@-2.5", "ours@-3", "random@0.5")


def outcomes(problems: int = 12, name: str = "cakes:{}") -> list[Outcome]:
    run, random = json.loads(DATA.read_text(encoding="utf-8")), Random(0)
    found: list[Any] = []
    for number in range(problems):
        for at, arm in enumerate(ARMS):
            right = random.random() < 0.6
            told: dict[str, Any] = {
                **{key: run[key] for key in ("steps", "ended", "usage", "question", "answer")},
                "problem": name.format(number), "arm": arm, "sample": 0, "expected": "76",
                "given": "76" if right else "86", "right": right, "seconds": 20 + at + random.random(),
                "first_step_seconds": 1.0, "decoded": None,
            }  # fmt: skip
            found.append(told | ({"steps": []} if arm in ("base", "draft") else {}))
    return found


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(found: list[Outcome]) -> Path:
        write_bench(bench_report(found, ABOUT, {}), found, ABOUT, tmp_path / "report.html")
        return tmp_path / "report.html"

    return write


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off_or_hard_to_read(
    width: int, scheme: str, written: Callable[..., Path], open_html: OpenHtml
) -> None:
    page = open_html(written(outcomes()).read_text(encoding="utf-8"), width=width, scheme=scheme)
    check_looks(page, width)
    boxes = [it.bounding_box() for it in page.locator(".plot a.point").all()]
    assert len(boxes) == len(ARMS)
    for at, one in enumerate(boxes):
        for other in boxes[:at]:
            assert one is not None
            assert other is not None
            assert abs(one["x"] - other["x"]) >= one["width"] or abs(one["y"] - other["y"]) >= one["height"]
    picture(page, f"bench-{width}-{scheme}", full_page=True)


def test_the_tables_say_what_the_report_says(written: Callable[..., Path], open_html: OpenHtml) -> None:
    found = outcomes()[::-1]  # as they happened to be finished
    report = bench_report(found, ABOUT, {})
    page = open_html(written(found).read_text(encoding="utf-8"))
    for number, (arm, totals) in enumerate(report["arms"].items(), 1):
        row = page.locator(f"#arm-{number}")
        expect(row).to_contain_text(f"{totals['right']}/{totals['samples']}")
        low, high = totals["interval"]
        expect(row).to_contain_text(f"{100 * totals['accuracy']:.1f} % [{100 * low:.0f}, {100 * high:.0f}]")
        assert arm in ARMS
    expect(page.locator(".differences li")).to_have_count(len(report["paired"]))
    expect(page.locator(".differences")).to_contain_text("ours at -2.5 against base alone: ")
    by_place = page.locator("table.rates").nth(1).locator("tbody tr")
    assert [row.locator("th").text_content() for row in by_place.all()] == ["1", "2", "3 to 4", "5 to 8"]
    expect(by_place.nth(3).locator("td").first).to_contain_text("50 %")
    expect(page.locator("table.problems tbody tr")).to_have_count(12)
    names = page.locator("table.problems tbody th").all_text_contents()
    assert names == [f"cakes:{number}" for number in range(12)]


def test_each_problem_has_a_page_of_its_arms(written: Callable[..., Path], open_html: OpenHtml) -> None:
    """By a name of ours: a problem's own may be a path."""
    report = written(outcomes(2, "../../<script>{}</script>"))
    page = open_html(report.read_text(encoding="utf-8"))
    links = [it.get_attribute("href") for it in page.locator("table.problems a").all()]
    assert links == ["report-runs/0001.html", "report-runs/0002.html"]
    runs = open_html((report.parent / str(links[0])).read_text(encoding="utf-8"))
    expect(runs.locator("article.run")).to_have_count(len(ARMS))
    expect(runs.locator("nav[aria-label=Runs] li").nth(2)).to_contain_text("ours")


@pytest.mark.parametrize("name", ["my report #1?.html", "javascript:alert(1).html", "50%.html"])
def test_the_report_s_own_name_may_hold_anything(name: str, tmp_path: Path, open_html: OpenHtml) -> None:
    """What leads to a problem's page is an address, in which some letters mean something else."""
    found = outcomes(1)
    write_bench(bench_report(found, ABOUT, {}), found, ABOUT, tmp_path / name)
    page = open_html((tmp_path / name).read_text(encoding="utf-8"))
    address = str(page.locator("table.problems a").evaluate("it => it.href"))
    assert Path(unquote(urlsplit(address).path)) == tmp_path / f"{Path(name).stem}-runs" / "0001.html"


def test_numbers_of_near_points_stand_in_rows() -> None:
    x = Axis(name="seconds", low=0, high=100)
    dots = [
        Dot(number=at, name="", kind="ours", x=place, y=0, low=0, high=0) for at, place in enumerate([50, 52, 54, 70])
    ]
    assert [dot.row for dot in in_rows(dots, x)] == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 100, ["0", "50", "100"]), (0, 0.7, ["0", "0.2", "0.4", "0.6"]), (31, 82, ["40", "60", "80"])],
)
def test_axes_have_round_marks(low: float, high: float, ticks: list[str]) -> None:
    assert [said for _, said in Axis(name="", low=low, high=high).ticks] == ticks
