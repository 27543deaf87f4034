"""Rules of acceptance: what each keeps of the drafts of a context that `rules_collect.py` has collected."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, log
from typing import Any, NamedTuple

from specreason_graph.contract.evidence import Spot
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.features import is_result
from specreason_graph.judging.rejudge import narrowed

Context = dict[str, Any]
Draft = dict[str, Any]

_JUDGE = builtin().judge("likelihood")


class Kept(NamedTuple):
    """What a rule keeps of the draft in one context."""

    tokens: int
    fine: bool | None
    """None: nobody tried it, which is so of drafts that no rule was thought to keep."""
    of: int
    """Tokens that then stand there: those, and base's own where the rest of the step is base's."""
    whole: bool


Rule = Callable[[Context], Kept | None]


def asked(draft: Draft, spots: int = _JUDGE.spots, sure: float = _JUDGE.sure) -> list[Spot]:
    """The spots that the likelihood judge would have asked about, the end included."""
    return narrowed(draft["spots"], spots, sure, ends=draft["ends"])


def lowest(draft: Draft) -> float:
    """The likelihood judge's score."""
    return min((spot["base_logprob"] for spot in asked(draft)), default=-inf)


def kept(draft: Draft) -> Kept:
    """The whole of a draft."""
    return Kept(draft["tokens"], draft["fine"], draft["tokens"], True)


def likelihood(threshold: float) -> Rule:
    """Today's: no asked token less likely than the threshold."""
    return lambda c: kept(c["drafts"]["greedy"]) if lowest(c["drafts"]["greedy"]) >= threshold else None


def likeliest_of(threshold: float, *, greedy_first: bool) -> Rule:
    """Of several drafts the one that base finds likeliest; or that only where the greedy one is rejected."""

    def rule(context: Context) -> Kept | None:
        drafts = {kind: draft for kind, draft in context["drafts"].items() if kind != "first"}
        if greedy_first and lowest(drafts["greedy"]) >= threshold:
            return kept(drafts["greedy"])
        best = max(drafts, key=lambda kind: lowest(drafts[kind]))
        return kept(drafts[best]) if lowest(drafts[best]) >= threshold else None

    return rule


def first_by_base(threshold: float) -> Rule:
    """The draft goes on behind base's own first token."""

    def rule(context: Context) -> Kept | None:
        draft = context["drafts"].get("first", context["drafts"]["greedy"])
        return kept(draft) if lowest(draft) >= threshold else None

    return rule


def lead(nats: float, certain: float, *, words: bool = True) -> Rule:
    """Rejected only where base is nearly certain of another token, at least so far ahead; words count or not."""

    def rule(context: Context) -> Kept | None:
        draft = context["drafts"]["greedy"]
        for spot in asked(draft):
            ahead = spot["lead"] or -inf
            if ahead >= nats and spot["base_logprob"] + ahead >= log(certain) and (words or is_result(spot)):
                return None
        return kept(draft)

    return rule


def gap(threshold: float) -> Rule:
    """Base's log-probability less the draft's own, at every asked token."""

    def rule(context: Context) -> Kept | None:
        draft = context["drafts"]["greedy"]
        gaps = [spot["base_logprob"] - (spot["draft_logprob"] or 0.0) for spot in asked(draft)]
        return kept(draft) if min(gaps, default=0.0) >= threshold else None

    return rule


def sure_of_first(threshold: float, certain: float) -> Rule:
    """Today's, but no draft where base is torn on the step's first token."""

    def rule(context: Context) -> Kept | None:
        first = next(spot for spot in context["drafts"]["greedy"]["spots"] if spot["place"] == 0)
        top = max(first["base_logprob"], first["base_logprob"] + (first["lead"] or 0.0))
        return likelihood(threshold)(context) if exp(top) >= certain else None

    return rule


def salvage(threshold: float, least: int, *, results_only: bool) -> Rule:
    """Today's; of a rejected step its beginning up to the first token that failed, from `least` tokens on."""

    def rule(context: Context) -> Kept | None:
        whole, beginning = likelihood(threshold)(context), context["kept"]
        if whole is not None or beginning is None or beginning["tokens"] < least:
            return whole
        failing = next(s for s in context["drafts"]["greedy"]["spots"] if s["place"] == beginning["tokens"])
        if results_only and not is_result(failing):
            return None
        rest = len(beginning["goes_on"].split("\n\n")[0]) // 4
        return Kept(beginning["tokens"], beginning["fine"], beginning["tokens"] + rest, False)

    return rule


RULES: dict[str, Rule] = {
    **{f"likelihood {at:g}": likelihood(at) for at in (-1.0, -1.5, -2.0, -2.5, -3.0, -4.0)},
    **{f"likeliest of 4, {at:g}": likeliest_of(at, greedy_first=False) for at in (-1.0, -1.5, -2.0, -2.5)},
    **{f"greedy, then likeliest of 3, {at:g}": likeliest_of(at, greedy_first=True) for at in (-1.5, -2.0, -2.5)},
    **{f"base's first token, {at:g}": first_by_base(at) for at in (-1.5, -2.0, -2.5)},
    **{f"lead {n:g}, certain {p:g}": lead(n, p) for n in (1.5, 2.0, 3.0) for p in (0.5, 0.7, 0.9)},
    **{f"lead {n:g}, certain {p:g}, results only": lead(n, p, words=False) for n in (1.0, 2.0) for p in (0.5, 0.8)},
    **{f"gap {at:g}": gap(at) for at in (-1.0, -1.5, -2.0, -2.5, -3.0)},
    **{f"likelihood -2, base sure of the first token at {p:g}": sure_of_first(-2.0, p) for p in (0.3, 0.5, 0.7)},
    "salvage from 4 tokens": salvage(-2.0, 4, results_only=False),
    "salvage from 8 tokens": salvage(-2.0, 8, results_only=False),
    "salvage from 16 tokens": salvage(-2.0, 16, results_only=False),
    "salvage before results": salvage(-2.0, 4, results_only=True),
    "everything": likelihood(-inf),
}
