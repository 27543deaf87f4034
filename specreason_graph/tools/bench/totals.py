"""What the arms came to, alone and in pairs, from their outcomes; intervals are of 95 % and over problems."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean
from typing import Any, TypedDict

from specreason_graph.contract.state import Ended
from specreason_graph.loop.report import acceptance, draft_share
from specreason_graph.tools.bench.comparisons import compared, place
from specreason_graph.tools.bench.decode import counted_tokens_a_pass
from specreason_graph.tools.bench.outcome import Arm, Outcome, parts_of
from specreason_graph.tools.extra import extra

_DRAWS = 10_000
_SEED = 0
_Z = 1.959964  # of 95 %, two-sided
_DIGITS = 6  # beyond them is rounding error, which must not move a bound off zero


class Tokens(TypedDict):
    """Tokens of all samples together."""

    drafted: int
    discarded: int
    base: int
    """Written by base, the answer included."""
    hedged: int
    """Those of them that a hedge wrote for nothing."""
    judged: int
    """Prompt tokens of the judge's requests."""
    judged_new: int | None
    """Those that did not come from the prefix cache; None is unknown."""


class ArmTotals(TypedDict):
    """What one arm came to; rates and accuracies are fractions."""

    n: int
    """Problems."""
    samples: int
    right: int
    """Right samples."""
    accuracy: float
    """pass@1: the mean over problems of the mean over a problem's samples."""
    interval: list[float]
    seconds: float
    """Mean a problem (of one sample)."""
    acceptance: float | None
    """Accepted of the judged steps; None without any."""
    draft_share: float | None
    """Of the kept reasoning's tokens, those that the draft wrote; None where no loop kept any."""
    tokens_a_pass: float | None
    """Of base's speculative decoding; None without it, and where it is not known of this arm alone."""
    tokens: Tokens
    share: dict[str, float]
    """Part of the wall-clock by role; what is missing to 1 is no model's."""
    first_step_seconds: float | None
    no_answer: float
    ended: dict[Ended, int]


class Paired(TypedDict):
    """One arm against another on the samples that both have."""

    n: int
    """Problems."""
    accuracy: float
    """One's less the other's, as a fraction."""
    interval: list[float]
    seconds_ratio: float | None
    """One's total seconds as a multiple of the other's; None when those are 0."""
    ratio_interval: list[float] | None


class ProblemRow(TypedDict):
    """Each arm's first sample on a problem."""

    problem: str
    answer: str
    given: dict[Arm, str | None]
    right: dict[Arm, bool]


class BenchReport(TypedDict):
    """A whole benchmark as one JSON object; `paired` has keys such as `ours-base`."""

    arms: dict[Arm, ArmTotals]
    tokens_a_pass: float | None
    """Of base's speculative decoding in all arms together: known also where these ran at the same time."""
    paired: dict[str, Paired]
    problems: list[ProblemRow]
    settings: Mapping[str, Any]
    versions: Mapping[str, Any]


def bench_report(outcomes: Sequence[Outcome], settings: Mapping[str, Any], versions: Mapping[str, Any]) -> BenchReport:
    """The report on all outcomes so far; arms and pairs without any are left out.

    Raises:
        ConfigError: the extra `bench` is not installed.
    """
    arms = sorted({outcome["arm"] for outcome in outcomes}, key=place)
    by_arm = {arm: [outcome for outcome in outcomes if outcome["arm"] == arm] for arm in arms}
    return BenchReport(
        arms={arm: arm_totals(found) for arm, found in by_arm.items()},
        tokens_a_pass=_tokens_a_pass(outcomes),
        paired={
            f"{one}-{other}": paired(by_arm[one], by_arm[other])
            for one, other in compared(arms)
            if _shared(by_arm[one], by_arm[other])
        },
        problems=_problem_rows(outcomes),
        settings=settings,
        versions=versions,
    )


def arm_totals(outcomes: Sequence[Outcome]) -> ArmTotals:
    """What one arm came to on its outcomes, of which there must be one at least."""
    groups = _by_problem(outcomes)
    samples, seconds = len(outcomes), sum(outcome["seconds"] for outcome in outcomes)
    steps = [step for outcome in outcomes for step in outcome["steps"]]
    accepted, judged = acceptance(steps)
    first = [outcome["first_step_seconds"] for outcome in outcomes if outcome["first_step_seconds"] is not None]
    accuracies = [fmean(outcome["right"] for outcome in group) for group in groups]
    # The bootstrap has no width where all are right or all wrong.
    by_wilson = samples == len(groups) or fmean(accuracies) in (0, 1)
    return ArmTotals(
        n=len(groups),
        samples=samples,
        right=sum(outcome["right"] for outcome in outcomes),
        accuracy=fmean(accuracies),
        interval=wilson(fmean(accuracies), len(groups)) if by_wilson else _mean_interval(accuracies),
        seconds=fmean(fmean(outcome["seconds"] for outcome in group) for group in groups),
        acceptance=accepted / judged if judged else None,
        draft_share=draft_share(steps),
        tokens_a_pass=_tokens_a_pass(outcomes),
        tokens=_tokens(outcomes),
        share={
            role: sum(outcome["usage"][role]["seconds"] for outcome in outcomes) / seconds if seconds else 0.0
            for role in ("draft", "base", "judge")
        },
        first_step_seconds=fmean(first) if first else None,
        no_answer=fmean(outcome["given"] is None for outcome in outcomes),
        ended=dict(Counter(outcome["ended"] for outcome in outcomes)),
    )


def paired(one: Sequence[Outcome], other: Sequence[Outcome]) -> Paired:
    """The difference of two arms, sample by sample; they must share one at least."""
    shared = _shared(one, other)
    better = [fmean(mine["right"] - theirs["right"] for mine, theirs in group) for group in shared]
    mine = [sum(pair[0]["seconds"] for pair in group) for group in shared]
    theirs = [sum(pair[1]["seconds"] for pair in group) for group in shared]
    return Paired(
        n=len(shared),
        accuracy=round(fmean(better), _DIGITS),
        interval=_mean_interval(better),
        seconds_ratio=sum(mine) / sum(theirs) if sum(theirs) else None,
        ratio_interval=_ratio_interval(mine, theirs) if sum(theirs) else None,
    )


def wilson(rate: float, n: int) -> list[float]:
    """Interval of a rate seen in n trials; unlike the bootstrap's it has a width at 0 and 1."""
    centre = rate + _Z**2 / (2 * n)
    half = _Z * sqrt(rate * (1 - rate) / n + (_Z / (2 * n)) ** 2)
    return [abs(round((centre + sign * half) / (1 + _Z**2 / n), _DIGITS)) for sign in (-1, 1)]


def _mean_interval(values: Sequence[float]) -> list[float]:
    return _ratio_interval(values, [1.0] * len(values))


def _ratio_interval(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Bootstrap of sum(over) / sum(under), drawing their places (one a problem) together."""
    np: Any = extra("numpy", "totals: an interval")
    drawn = np.random.default_rng(_SEED).integers(len(over), size=(_DRAWS, len(over)))
    tops, bottoms = (np.asarray(values)[drawn].sum(axis=1) for values in (over, under))
    ratios = tops[bottoms > 0] / bottoms[bottoms > 0]
    return [round(bound, _DIGITS) for bound in np.percentile(ratios, [2.5, 97.5]).tolist()]


def _by_problem(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome["problem"], []).append(outcome)
    return list(groups.values())


def _shared(one: Sequence[Outcome], other: Sequence[Outcome]) -> list[list[tuple[Outcome, Outcome]]]:
    """The samples that both arms have, a list a problem."""
    others = {(outcome["problem"], outcome["sample"]): outcome for outcome in other}
    both = [outcome for outcome in one if (outcome["problem"], outcome["sample"]) in others]
    return [[(mine, others[mine["problem"], mine["sample"]]) for mine in group] for group in _by_problem(both)]


def _tokens(outcomes: Sequence[Outcome]) -> Tokens:
    draft, base, judge = ([outcome["usage"][role] for outcome in outcomes] for role in ("draft", "base", "judge"))
    judged = sum(used["prompt_tokens"] for used in judge)
    cached = [used["cached_tokens"] for used in judge if used["cached_tokens"] is not None]
    return Tokens(
        drafted=sum(used["completion_tokens"] for used in draft),
        discarded=sum(used["discarded_tokens"] for used in draft),
        base=sum(used["completion_tokens"] for used in base),
        hedged=sum(used["discarded_tokens"] for used in base),
        judged=judged,
        judged_new=judged - sum(cached) if len(cached) == len(judge) else None,
    )


def _tokens_a_pass(outcomes: Sequence[Outcome]) -> float | None:
    decoding = [outcome for outcome in outcomes if parts_of(outcome["arm"]).decodes]
    return counted_tokens_a_pass((outcome["decoded"] for outcome in decoding), {outcome["arm"] for outcome in decoding})


def _problem_rows(outcomes: Sequence[Outcome]) -> list[ProblemRow]:
    return [
        ProblemRow(
            problem=group[0]["problem"],
            answer=group[0]["expected"],
            given={outcome["arm"]: outcome["given"] for outcome in group},
            right={outcome["arm"]: outcome["right"] for outcome in group},
        )
        for group in _by_problem([outcome for outcome in outcomes if outcome["sample"] == 0])
    ]
