"""What `rules_collect.py` has collected as a file that `specreason calibrate` goes on from, to fit a policy on it.

    python benchmarks/rules_chains.py runs/rules.jsonl runs/calibrate.jsonl
    specreason calibrate --problems gsm8k.jsonl --skip 100 --limit 100 --ask likelihood --spots 10 \
        --reasoning-budget 1024 --answer-budget 256 --out runs/calibrate.jsonl --policy qwen2.5-coder.json

The greedy drafts were made and labelled as `calibrate` does it; of their tokens, all were asked about.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from acceptance_rules import asked

from specreason_graph.contract.evidence import Evidence
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.evidence import agreement
from specreason_graph.tools.bench.journal import Journal, read_journal
from specreason_graph.tools.calibrate.chains import Chain, LabelledStep

JUDGE = builtin().judge("likelihood")


def chain(record: dict[str, Any]) -> Chain:
    """One problem's labelled steps."""
    steps = [
        LabelledStep(
            text=greedy["text"],
            own=context["own"],
            fine=greedy["fine"],
            evidence={JUDGE.name: evidence(greedy, place, context["own"])},
        )
        for place, context in enumerate(record["contexts"])
        if (greedy := context["drafts"].get("greedy")) is not None
    ]
    return Chain(problem=record["problem"], base_right=record["right"], steps=steps)


def evidence(draft: dict[str, Any], place: int, own: str) -> Evidence:
    """As far as the judge would have asked for it."""
    spots = asked(draft)
    places = {spot["place"] for spot in spots}
    left = [spot["draft_logprob"] for spot in draft["spots"] if spot["place"] not in places]
    return Evidence(
        label_probs=None,
        label_mass=None,
        says_label=None,
        spots=spots,
        unasked=min(left, default=None),
        draft_logprobs=draft["draft_logprobs"],
        tokens=draft["tokens"],
        place=place,
        ends=draft["ends"],
        agreement=agreement(draft["text"], own),
    )


def main(
    journal: Annotated[Path, typer.Argument(help="What rules_collect.py wrote")],
    out: Annotated[Path, typer.Argument(help="To be given to `specreason calibrate --out`")],
) -> None:
    """Write one from the other."""
    about, records = read_journal(journal)
    chosen = {name: about["settings"][name] for name in ("reasoning_budget", "answer_budget")}
    with Journal(out, {**about, "settings": chosen, "judges": [JUDGE.model_dump()]}) as into:
        known = {record["problem"] for record in into.records()}
        for record in records:
            if record["problem"] not in known:
                into.append(chain(record))


if __name__ == "__main__":
    typer.run(main)
