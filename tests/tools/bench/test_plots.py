"""Plots are files that can be looked at; what they show is looked at by eye."""

import sys
from pathlib import Path

import pytest

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.bench.outcome import Arm
from specreason_graph.tools.bench.plots import accuracy_against_latency, where_time_went
from specreason_graph.tools.bench.totals import ArmTotals, BenchReport


def totals(n: int, accuracy: float, interval: list[float], seconds: float, **share: float) -> ArmTotals:
    return ArmTotals(
        n=n,
        samples=n,
        right=round(n * accuracy),
        accuracy=accuracy,
        interval=interval,
        seconds=seconds,
        acceptance=None,
        draft_share=None,
        tokens_a_pass=None,
        tokens={"drafted": 0, "discarded": 0, "base": 0, "hedged": 0, "judged": 0, "judged_new": None},
        share={"draft": 0.0, "base": 0.0, "judge": 0.0} | share,
        first_step_seconds=None,
        no_answer=0.0,
        ended={"finished": n},
    )


def report_of(arms: dict[Arm, ArmTotals]) -> BenchReport:
    return BenchReport(arms=arms, tokens_a_pass=None, paired={}, problems=[], settings={}, versions={})


REPORT = report_of(
    {
        "base": totals(50, 0.64, [0.5, 0.76], 40.0, base=0.97),
        "draft": totals(50, 0.3, [0.19, 0.44], 12.0, draft=0.98),
        "paper": totals(50, 0.58, [0.44, 0.71], 36.0, draft=0.25, base=0.45, judge=0.2),
        "ours": totals(48, 0.62, [0.48, 0.75], 31.0, draft=0.3, base=0.4, judge=0.35),
        "ours@0.5": totals(48, 0.5, [0.36, 0.64], 22.0, draft=0.5, base=0.2, judge=0.25),
        "ours@0.95": totals(48, 0.64, [0.5, 0.77], 44.0, draft=0.2, base=0.6, judge=0.1),
        "base+decode": totals(48, 0.64, [0.5, 0.76], 17.0, base=0.97),
        "ours+decode": totals(48, 0.62, [0.48, 0.75], 15.0, draft=0.4, base=0.3, judge=0.4),
        "ours+decode@0.5": totals(48, 0.5, [0.36, 0.64], 12.0, draft=0.5, base=0.2, judge=0.4),
    }
)


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_plots_are_written_by_suffix(tmp_path: Path, suffix: str, start: bytes) -> None:
    """With roles that overlap, so that nothing is left for `other`."""
    accuracy, time = tmp_path / f"accuracy.{suffix}", tmp_path / f"time.{suffix}"
    accuracy_against_latency(REPORT, accuracy)
    where_time_went(REPORT, time)
    for path in (accuracy, time):
        assert path.read_bytes().startswith(start)
        assert path.stat().st_size > 5_000


@pytest.mark.parametrize("arms", [{}, {"base": totals(3, 1.0, [0.438494, 0.999999], 2.0)}], ids=["none", "one"])
def test_a_run_that_was_stopped_early_can_be_plotted(tmp_path: Path, arms: dict[Arm, ArmTotals]) -> None:
    """Before its first outcome too; and an interval may end below its own accuracy, by rounding."""
    accuracy_against_latency(report_of(arms), tmp_path / "accuracy.png")
    where_time_went(report_of(arms), tmp_path / "time.png")


def test_plots_leave_no_global_figure(tmp_path: Path) -> None:
    """A server that plots would otherwise keep every figure."""
    from matplotlib import pyplot

    where_time_went(REPORT, tmp_path / "time.png")
    assert not pyplot.get_fignums()


def test_the_title_says_how_many_problems(tmp_path: Path) -> None:
    import matplotlib

    for n, said in ((50, "50 problems"), (48, "48 to 50 problems")):
        report = report_of({"base": REPORT["arms"]["base"], "ours": totals(n, 0.62, [0.48, 0.75], 31.0)})
        with matplotlib.rc_context({"svg.fonttype": "none"}):
            where_time_went(report, tmp_path / "time.svg")
        assert f"Where the time went, {said}<" in (tmp_path / "time.svg").read_text()


def test_accuracy_against_latency_shows_the_arms_that_decode(tmp_path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none"}):
        accuracy_against_latency(REPORT, tmp_path / "accuracy.svg")
    shown = (tmp_path / "accuracy.svg").read_text()
    assert all(f">{name}<" in shown for name in ("base alone", "base alone + decode", "ours", "ours + decode"))


def test_a_missing_extra_names_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"matplotlib: pip install 'specreason-graph\[bench\]'"):
        where_time_went(REPORT, tmp_path / "time.png")
