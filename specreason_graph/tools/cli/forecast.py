"""What `predict` and `doctor` say alike: how fast each way of a faster base would be, and which to take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from specreason_graph.tools.forecast import Arm, Forecast, Speculation
from specreason_graph.tools.predict import Mode

OVERLAPS: Mapping[Mode, str] = {
    "sequential": "sequential",
    "look_ahead": "look-ahead",
    "hedge": "hedge",
    "both": "look-ahead and hedge",
}
_ARMS: Mapping[Arm, str] = {
    "base": "base alone",
    "base+decode": "base that decodes speculatively",
    "specreason": "SpecReason",
    "specreason+decode": "SpecReason on a base that decodes speculatively",
}


def as_json(found: Forecast, speculation: Speculation | str) -> dict[str, Any]:
    """The contract for scripts."""
    decode = None
    if isinstance(speculation, Speculation):
        decode = {**speculation.decoding.model_dump(), "source": speculation.source}
    return {
        "modes": {arm: {"ratio": ratio} for arm, ratio in found.ratios.items()},
        "advice": found.advice,
        "acceptance": found.acceptance,
        "overlap": found.overlap,
        "decode": decode,
    }


def show(console: Console, found: Forecast, tokens: float, speculation: Speculation | str) -> None:
    """The table, what it rests on, and the advice."""
    overlap = "one after the other" if found.overlap == "sequential" else f"overlapping by {OVERLAPS[found.overlap]}"
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for arm, ratio in found.ratios.items():
        table.add_row(_ARMS[arm], "not known" if ratio is None else f"{ratio:.2f}x")
    console.print(
        f"Expected speed against base alone, by formula: at {found.acceptance} % of drafts accepted, "
        f"steps of {tokens:g} tokens, SpecReason's calls {overlap}."
    )
    console.print(table)
    console.print(f"Speculative decoding: {_told(speculation)}.")
    console.print(found.advice, style="bold")


def _told(speculation: Speculation | str) -> str:
    """How base would decode, and where that is from."""
    if isinstance(speculation, str):
        return speculation
    decoding, source = speculation.decoding, speculation.source
    tokens = f"{decoding.tokens_a_pass:.1f} tokens a pass of {decoding.proposed} proposed ({source})"
    return f"{tokens}; to check them takes a pass no longer, as on a GPU and not on a CPU"
