"""Totals, intervals and differences of the arms."""

import json
import sys
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.state import RoleUsage, Step
from specreason_graph.tools.bench.decode import Decoded
from specreason_graph.tools.bench.outcome import Arm, Outcome
from specreason_graph.tools.bench.table import bench_table, report_lines
from specreason_graph.tools.bench.totals import arm_totals, bench_report, paired, wilson


def role(tokens: int = 0, seconds: float = 0.0, **other: Any) -> RoleUsage:
    used: dict[str, Any] = {"prompt_tokens": 0, "cached_tokens": 0, "discarded_tokens": 0, "requests": 1}
    return RoleUsage(**{**used, "completion_tokens": tokens, "seconds": seconds, **other})  # type: ignore[typeddict-item]


def outcome(number: int, right: bool, arm: Arm = "ours", **other: Any) -> Outcome:
    made: dict[str, Any] = {
        "problem": f"set:{number}",
        "arm": arm,
        "sample": 0,
        "expected": "42",
        "given": "42" if right else "41",
        "right": right,
        "ended": "finished",
        "seconds": 10.0,
        "first_step_seconds": None,
        "steps": [],
        "usage": {"draft": role(), "base": role(), "judge": role()},
        "decoded": None,
    }
    return Outcome(**{**made, **other})  # type: ignore[typeddict-item]


def arm_of(arm: Arm, n: int, right: int, **other: Any) -> list[Outcome]:
    return [outcome(i, i < right, arm, **other) for i in range(n)]


def judged_steps(*accepted: bool | None) -> list[Step]:
    """Accepted ones have 10 of base's tokens, and base's own 30; what was drafted in vain counts for nothing."""
    return [
        Step(accepted=decision, source="draft" if decision else "base", tokens=10, base_tokens=0 if decision else 30)  # type: ignore[typeddict-item]
        for decision in accepted
    ]


@pytest.mark.parametrize(
    ("right", "n", "interval"), [(81, 263, [0.2553, 0.3662]), (10, 10, [0.7225, 1]), (0, 10, [0, 0.2775])]
)
def test_wilson(right: int, n: int, interval: list[float]) -> None:
    """The first is of Newcombe (1998)."""
    assert wilson(right / n, n) == pytest.approx(interval, abs=1e-4)
    assert arm_totals(arm_of("base", n, right))["interval"] == wilson(right / n, n)


def test_samples_of_a_problem_are_one_problem() -> None:
    """Four samples of each of ten problems say less than forty problems do."""
    outcomes = [outcome(i, i < 6 or (i == 6 and sample < 2), sample=sample) for i in range(10) for sample in range(4)]
    totals = arm_totals(outcomes)
    assert (totals["n"], totals["samples"], totals["right"]) == (10, 40, 26)
    assert totals["accuracy"] == pytest.approx(0.65)
    low, high = totals["interval"]
    few, many = wilson(0.65, 40)
    assert low < few
    assert many < high


def test_a_problem_counts_once_however_many_samples_it_has_yet() -> None:
    totals = arm_totals([outcome(0, True), outcome(1, False), outcome(1, False, sample=1, seconds=30.0)])
    assert totals["accuracy"] == 0.5
    assert totals["seconds"] == 15.0


def test_all_right_is_not_certainty() -> None:
    """With several samples too, where the bootstrap would have no width."""
    totals = arm_totals([outcome(i, True, sample=sample) for i in range(10) for sample in range(2)])
    assert totals["interval"] == wilson(1.0, 10)


def test_totals_add_up_what_the_outcomes_hold() -> None:
    usage = {
        "draft": role(100, 2.0, discarded_tokens=30),
        "base": role(50, 5.0, discarded_tokens=7),
        "judge": role(1, 1.0, prompt_tokens=400, cached_tokens=300),
    }
    totals = arm_totals(
        [
            outcome(0, True, usage=usage, steps=judged_steps(True, None, False), first_step_seconds=3.0),
            outcome(1, False, usage=usage, steps=judged_steps(True, True), given=None, ended="budget"),
        ]
    )
    assert totals["acceptance"] == 0.75
    assert totals["draft_share"] == 30 / 90
    assert totals["tokens"] == {
        "drafted": 200,
        "discarded": 60,
        "base": 100,
        "hedged": 14,
        "judged": 800,
        "judged_new": 200,
    }
    assert totals["share"] == {"draft": 0.2, "base": 0.5, "judge": 0.1}
    assert totals["first_step_seconds"] == 3.0
    assert totals["no_answer"] == 0.5
    assert totals["ended"] == {"finished": 1, "budget": 1}


def test_unknown_cached_tokens_stay_unknown() -> None:
    """Counted as 0 they would make every judged token a new one."""
    known = {"draft": role(), "base": role(), "judge": role(prompt_tokens=400, cached_tokens=300)}
    unknown = known | {"judge": role(prompt_tokens=400, cached_tokens=None)}
    tokens = arm_totals([outcome(0, True, usage=known), outcome(1, True, usage=unknown)])["tokens"]
    assert (tokens["judged"], tokens["judged_new"]) == (800, None)


def test_an_arm_without_judged_steps_has_no_acceptance() -> None:
    """Which is neither 0 nor 1."""
    base, unasked = arm_totals([outcome(0, True, "base")]), arm_totals([outcome(0, True, steps=judged_steps(None))])
    assert (base["acceptance"], base["draft_share"]) == (None, None)
    assert (unasked["acceptance"], unasked["draft_share"]) == (None, 0.0)  # base wrote all of it


def test_a_clear_difference_is_outside_of_chance() -> None:
    pair = paired(arm_of("ours", 20, 20), arm_of("base", 20, 5, seconds=5.0))
    assert (pair["n"], pair["accuracy"]) == (20, 0.75)
    assert 0.5 < pair["interval"][0] < 0.75 < pair["interval"][1] < 1
    assert (pair["seconds_ratio"], pair["ratio_interval"]) == (2.0, [2.0, 2.0])


def test_the_ratio_of_seconds_is_of_totals_and_by_problem() -> None:
    """A problem that takes long for both moves the totals, not their ratio; one that differs moves both."""
    seconds = [1.0, 2.0, 4.0, 100.0]
    one = [outcome(i, True, seconds=2 * s) for i, s in enumerate(seconds)]
    other = [outcome(i, True, "base", seconds=s) for i, s in enumerate(seconds)]
    assert paired(one, other)["ratio_interval"] == [2.0, 2.0]
    one[0]["seconds"] = 55.0
    pair = paired(one, other)
    ratio = (55 + 2 * 106) / 107
    assert pair["seconds_ratio"] == pytest.approx(ratio)
    low, high = pair["ratio_interval"] or []
    assert low == 2.0
    assert high > ratio


def test_no_time_has_no_ratio() -> None:
    pair = paired(arm_of("ours", 3, 1), arm_of("base", 3, 1, seconds=0.0))
    assert (pair["seconds_ratio"], pair["ratio_interval"]) == (None, None)


def test_what_only_one_arm_has_done_yet_is_not_in_the_pair() -> None:
    """Neither a problem nor a sample: arms are compared on the same work."""
    one = [*arm_of("ours", 5, 2), outcome(1, False, sample=1, seconds=999.0)]
    pair = paired(one, [*arm_of("base", 3, 2), outcome(9, True, "base")])
    assert (pair["n"], pair["accuracy"], pair["seconds_ratio"]) == (3, 0.0, 1.0)


def test_the_report_is_json() -> None:
    """Without numpy's numbers and NaN, from the first outcome on."""
    outcomes = [*arm_of("base", 4, 2), *arm_of("ours", 4, 3), outcome(0, False, "draft", sample=1, seconds=0.0)]
    report = bench_report(outcomes, {"k": 2}, {"specreason-graph": "0"})
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert list(report["arms"]) == ["base", "draft", "ours"]
    assert list(report["paired"]) == ["ours-base"]
    assert len(report["problems"]) == 4
    given: dict[Arm, str] = {"base": "41", "ours": "42"}
    right: dict[Arm, bool] = {"base": False, "ours": True}
    assert report["problems"][2] == {"problem": "set:2", "answer": "42", "given": given, "right": right}
    assert bench_report(outcomes, {"k": 2}, {"specreason-graph": "0"}) == report
    assert bench_report([], {}, {})["arms"] == {}


def test_thresholds_stand_behind_their_arm_and_are_compared_with_base() -> None:
    """Also one below 0, as of a log-probability, whose minus is not the pair's."""
    arms = ["ours@0.8", "base", "ours@-3", "paper@7", "ours"]
    report = bench_report([made for arm in arms for made in arm_of(arm, 4, 2)], {}, {})
    assert list(report["arms"]) == ["base", "paper@7", "ours", "ours@-3", "ours@0.8"]
    assert list(report["paired"]) == ["paper@7-base", "ours-base", "ours@-3-base", "ours@0.8-base"]
    assert report_lines(report)[2].startswith("ours@-3 - base: +0.0 points [0.0, 0.0] (no difference seen)")
    assert "ours at -3 " in rendered(bench_table(report))


def rendered(table: Table, width: int = 250) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_the_table_says_what_is_unknown() -> None:
    usage = {"draft": role(1200), "base": role(), "judge": role(prompt_tokens=4000, cached_tokens=None)}
    outcomes = [*arm_of("base", 50, 25, seconds=5.0), *arm_of("ours", 50, 32, usage=usage)]
    text = rendered(bench_table(bench_report(outcomes, {}, {})))
    base, ours = [line.split() for line in text.splitlines() if line.startswith((" base", " ours"))]
    assert " ".join(ours[1:11]) == "50 32/50 64.0 % [50, 76] - - 10.0 2.00"
    assert " ".join(ours[11:]) == "60,000 (0) 0 (0) 200,000 (?) 0 % - 0 % 100 %"
    assert "1.00" in base
    assert "…" not in rendered(bench_table(bench_report(outcomes, {}, {})), width=80)


def test_the_table_tells_of_decoding_where_an_arm_decodes() -> None:
    """Times base that decodes, and its tokens a pass, which are unknown where nothing was counted."""
    plain = [*arm_of("base", 4, 2), *arm_of("ours", 4, 2, steps=judged_steps(True, False))]
    assert "a pass" not in rendered(bench_table(bench_report(plain, {}, {})))
    counted = Decoded(passes=10, proposed=50, accepted=25, arms=["base+decode"])
    fast = [*arm_of("base+decode", 4, 2, seconds=4.0, decoded=counted), *arm_of("ours+decode", 4, 2, seconds=2.0)]
    text = rendered(bench_table(bench_report([*plain, *fast], {}, {})))
    lines = [line for line in text.splitlines() if "/4 " in line]
    cells = {line.strip().partition("  ")[0]: line.partition("]")[2].split() for line in lines}
    assert cells["base alone"][:6] == ["-", "-", "10.0", "1.00", "2.50", "-"]
    assert cells["base alone + decode"][:6] == ["-", "-", "4.0", "0.40", "1.00", "3.50"]
    assert cells["ours"][:8] == ["50", "%", "25", "%", "10.0", "1.00", "2.50", "-"]
    assert cells["ours + decode"][:6] == ["-", "-", "2.0", "0.20", "0.50", "?"]


def test_a_difference_in_words() -> None:
    outcomes = [*arm_of("base", 20, 10), *arm_of("ours", 20, 11, seconds=19.3), *arm_of("paper", 20, 0, seconds=0.0)]
    last, ours, paper = report_lines(bench_report(outcomes, {}, {}))
    assert ours == ("ours - base: +5.0 points [0.0, 15.0] (no difference seen), 1.93 times the seconds [1.9, 1.9]")
    assert paper.startswith("ours - paper: +55.0 points [")
    assert "times" not in paper
    assert last.startswith("paper - base: -50.0 points [-70.0, -30.0], ")


def test_a_missing_extra_names_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(ConfigError, match=r"numpy: pip install 'specreason-graph\[bench\]'"):
        paired(arm_of("ours", 1, 1), arm_of("base", 1, 1))
