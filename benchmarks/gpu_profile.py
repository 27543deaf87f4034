"""Measured figures as a profile: a block for `specreason_graph/tools/profiles.toml`, to predict with and to pace."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gpu_cells import BASE, CONTEXT, PLAIN, JudgeCall, Runs, Tokens
from gpu_models import BATCH, TOKENS_A_PASS
from gpu_results import key
from pydantic import ValidationError

from specreason_graph.tools.decoding import PROPOSED
from specreason_graph.tools.profiles import Profile

_ASSUMED = {"per_sequence": 0.01, "budget": BATCH, "tokens_a_pass": TOKENS_A_PASS}
_DECODE = "draft_model"


def profile(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """The figures of a profile, each with its source; None while a token of each or the judge's call is missing.

    Args:
        document: what a file of results holds.
    """
    cells, about = document["cells"], document["about"]
    base, draft = (cells.get(key(Tokens(PLAIN, role))) for role in ("base", "draft"))
    judge = cells.get(key(JudgeCall(PLAIN, "score", CONTEXT)))
    if base is None or draft is None or judge is None:
        return None
    card = ", ".join(it["name"] for it in about["machine"]["cards"]) or "a CPU"
    by = f"benchmarks/gpu.py, {document['date']}, vLLM {about['machine']['vllm']}"
    figures: dict[str, tuple[float, str]] = {
        "base_ms": (base["token_ms"], f"measured, {by}"),
        "draft_ms": (draft["token_ms"], "measured likewise"),
        "judge_ms": (judge["ms"], "measured likewise: the median of the score form's calls"),
        "judge_tokens": (judge["prefilled_tokens"], "counted by the server: what was not in its prefix cache"),
        "round_trip_ms": (
            max(0.1, min(it["first_token_ms"] - it["token_ms"] for it in (base, draft))),
            "measured: what a first token takes beyond a pass, where that is less; a block's prefill is in it",
        ),
        **{name: (value, "ASSUMED") for name, value in _ASSUMED.items()},
        **_shared(cells),
        **_decoded(document, base["token_ms"], draft["token_ms"]),
    }
    return {
        "hardware": f"{card}; {about['base']} and {about['draft']}, {about['weights']} weights",
        **{name: value for name, (value, _) in figures.items()},
        "source": {name: source for name, (_, source) in figures.items()},
    }


def flaw(figures: Mapping[str, Any]) -> str | None:
    """What keeps these figures from being a profile, such as a judge's call that is faster than a pass; else None."""
    try:
        Profile.model_validate(figures)
    except ValidationError as error:
        return "; ".join(it["msg"] for it in error.errors())
    return None


def block(name: str, figures: Mapping[str, Any]) -> str:
    """These figures in TOML."""
    lines = [f"{field} = {_toml(value)}" for field, value in figures.items() if field != "source"]
    sources = [f"{field} = {json.dumps(source)}" for field, source in figures["source"].items()]
    return "\n".join([f"[{name}]", *lines, "", f"[{name}.source]", *sources])


def _shared(cells: Mapping[str, Any]) -> dict[str, tuple[float, str]]:
    """What each further sequence adds to a pass, by base alone with one run and with the most at once."""
    runs = [it for it in cells.values() if (it.get("mode"), it.get("decode")) == (BASE, PLAIN)]
    one = cells.get(key(Runs(PLAIN, BASE, None)))
    most = max(runs, key=lambda it: it["at_once"], default=None)
    if one is None or most is None or most["at_once"] == 1:
        return {}
    at_once = most["at_once"]
    longer = at_once * one["tokens_per_second"] / most["tokens_per_second"] - 1
    return {"per_sequence": (max(0.001, longer / (at_once - 1)), f"measured: {at_once} runs of base at once")}


def _decoded(document: Mapping[str, Any], base_ms: float, draft_ms: float) -> dict[str, tuple[float, str]]:
    if document["about"]["weights"] == "dummy":
        return {"tokens_a_pass": (TOKENS_A_PASS, "ASSUMED: forced, since dummies never guess each other's tokens")}
    decoded = document["cells"].get(key(Tokens(_DECODE, "base")))
    if decoded is None:
        return {}
    gives = (base_ms + PROPOSED * draft_ms) / decoded["token_ms"]
    return {"tokens_a_pass": (min(max(1.0, gives), PROPOSED + 1.0), "from a token's time with a draft model inside")}


def _toml(value: float | str) -> str:
    return json.dumps(value) if isinstance(value, str) else f"{value:.4g}" if isinstance(value, float) else str(value)
