"""Rules of acceptance, tried offline on what `rules_collect.py` has collected.

    python benchmarks/rules.py runs/rules.jsonl [--json] [--tokens accepted_tokens.json]

Every rule sees the same contexts: beginnings of reasoning from which base comes to the right answer. Told of each is
how many steps it keeps of the draft, which share of the tokens that then stand there are the draft's, and how many of
the steps that it keeps are bad (base comes to the right answer no longer). Intervals are of 95 %, over problems.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any, NamedTuple

import typer
from acceptance_rules import RULES, Context, Draft, Rule, asked
from rich.console import Console
from rich.table import Table

from specreason_graph.contract.errors import SpecReasonError
from specreason_graph.tools.bench.journal import read_journal
from specreason_graph.tools.decoding import PROPOSED, tokens_a_pass

_BEFORE = 12  # spots, of however sure tokens: what decisions are compared with
_DRAWS = 2000
_HALF_A_BLOCK = 8  # tokens


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule came to."""

    steps: float
    """Share of the contexts in which a whole step of the draft is kept."""
    tokens: float
    """Share of all tokens that then stand there."""
    bad: float
    """Share of what is kept that is bad; and in absolute terms, `lost`: of all contexts."""
    lost: float
    lost_interval: tuple[float, float]
    unknown: int


def tried(rule: Rule, problems: Sequence[Sequence[Context]]) -> Found:
    """A rule on all contexts; those without a draft that could be kept count as rejected."""
    rows = [[_row(rule, context) for context in contexts] for contexts in problems]
    flat = [row for group in rows for row in group]
    random, losses = Random(0), []
    for _ in range(_DRAWS):
        drawn = [row for group in random.choices(rows, k=len(rows)) for row in group]
        losses.append(sum(row.bad for row in drawn) / len(drawn))
    losses.sort()
    number = sum(row.any for row in flat)
    bad = sum(row.bad for row in flat)
    return Found(
        steps=sum(row.whole for row in flat) / len(flat),
        tokens=sum(row.draft for row in flat) / sum(row.all for row in flat),
        bad=bad / number if number else 0.0,
        lost=bad / len(flat),
        lost_interval=(losses[int(0.025 * _DRAWS)], losses[int(0.975 * _DRAWS)]),
        unknown=sum(row.unknown for row in flat),
    )


class _Row(NamedTuple):
    draft: int
    all: int
    whole: bool
    any: bool
    bad: bool
    unknown: bool


def _row(rule: Rule, context: Context) -> _Row:
    found = rule(context) if context["drafts"] else None
    if found is None:
        return _Row(0, context["own_tokens"], False, False, False, False)
    return _Row(found.tokens, found.of, found.whole, True, found.fine is False, found.fine is None)


def bounds(problems: Sequence[Sequence[Context]], threshold: float = -2.0) -> dict[str, dict[str, float]]:
    """Of bounds for sure tokens: spots a step, tokens that vLLM prefills for them, and decisions that change.

    Each spot is a prompt of its own behind a ledger whose last block of 16 is half full on average.
    """
    drafts = [context["drafts"]["greedy"] for contexts in problems for context in contexts if context["drafts"]]

    def decided(draft: Draft, spots: int, sure: float) -> bool:
        return all(spot["base_logprob"] >= threshold for spot in asked(draft, spots, sure))

    return {
        f"{spots} up to {sure:g}": {
            "spots": sum(len(asked(draft, spots, sure)) for draft in drafts) / len(drafts),
            "prefilled": sum(_HALF_A_BLOCK + spot["place"] for draft in drafts for spot in asked(draft, spots, sure))
            / len(drafts),
            "changed": sum(decided(draft, spots, sure) != decided(draft, _BEFORE, 0.0) for draft in drafts),
            "of": len(drafts),
        }
        for spots in (_BEFORE, 10, 8, 6)
        for sure in (0.0, -0.02, -0.05, -0.1)
    }


def main(
    journal: Annotated[Path, typer.Argument(help="What rules_collect.py wrote")],
    tokens: Annotated[Path | None, typer.Option(help="Write where the draft would have written base's text")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead")] = False,
) -> None:
    """Try every rule."""
    try:
        about, records = read_journal(journal)
    except SpecReasonError as error:
        raise typer.BadParameter(str(error)) from None
    problems = [record["contexts"] for record in records if record["contexts"]]
    texts = [record["matches"] for record in records]
    if tokens is not None:
        what = {name: about[name] for name in ("base_model", "draft_model", "preset")}
        told = {"about": {**what, "problems": len(texts)}, "proposed": PROPOSED, "runs": texts}
        tokens.write_text(json.dumps(told) + "\n", encoding="utf-8")
    found = {name: tried(rule, problems) for name, rule in RULES.items()}
    results = {
        "problems": len(problems),
        "contexts": sum(map(len, problems)),
        "rules": {
            name: {
                "steps": one.steps, "tokens": one.tokens, "bad": one.bad, "lost": one.lost,
                "lost_interval": one.lost_interval, "unknown": one.unknown,
            } for name, one in found.items()
        },
        "sure": bounds(problems),
        "decode": {"matches": _share(texts), "tokens_a_pass": tokens_a_pass(texts), "proposed": PROPOSED},
    }  # fmt: skip
    if as_json:
        print(json.dumps(results))
        return
    _show(results)


def _share(texts: Sequence[str]) -> float:
    return sum(text.count("1") for text in texts) / sum(map(len, texts))


def _show(results: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 140)  # a pipe has no width of its own
    table = Table("rule", "steps kept", "tokens by draft", "bad of kept", "bad of all", "95 %", "not tried")
    for name, one in results["rules"].items():
        low, high = one["lost_interval"]
        shares = (f"{100 * one[key]:.0f} %" for key in ("steps", "tokens", "bad"))
        table.add_row(
            name, *shares, f"{100 * one['lost']:.1f} %", f"{100 * low:.0f} to {100 * high:.0f}", str(one["unknown"])
        )
    console.print(f"{results['contexts']} contexts of {results['problems']} problems")
    console.print(table)
    console.print(results["sure"], results["decode"])


if __name__ == "__main__":
    typer.run(main)
