"""Records of runs for pages."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from specreason_graph.judging.catalog import builtin

_FILE = Path(__file__).parents[2] / "data" / "recorded_run.json"
_TEXT = "so the sum of both is then twice what each of them had before we add five more to it"


def recorded() -> dict[str, Any]:
    """A real run of Qwen2.5-Coder 1.5B and 0.5B on a problem of GSM8K, judged by the least likely token, without times.

    It was recorded before places of tokens were; those are from the models' tokenizer, and agree with its spots.
    """
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def made_up(steps: int, seed: int = 0) -> dict[str, Any]:
    """A run of so many steps with look-ahead and hedges, every third one rejected; 55 tokens a step."""
    random, now, made = Random(seed), 0.4, []
    for index in range(steps):
        rejected = index % 3 == 2
        step, now = _step(random, index, now, rejected=rejected)
        made.append(step)
    used = {"prompt_tokens": 9000, "cached_tokens": 8000, "completion_tokens": 4000, "discarded_tokens": 900}
    return {
        "question": "How much is it, when both parts are added?",
        "answer": "It is 12.",
        "steps": made,
        "ended": "finished",
        "usage": {role: {**used, "seconds": 1.0} for role in ("draft", "base", "judge")},
        "seconds": now + 1.5,
        "models": {"base": "a-base-32b", "draft": "a-draft-1.5b"},
        "judge": builtin().judges["likelihood"].model_dump(mode="json") | {"lowest": 1},
        "policy": {"name": "threshold"},
    }


def _step(random: Random, index: int, now: float, *, rejected: bool) -> tuple[dict[str, Any], float]:
    words = [f"{random.choice(_TEXT.split())} " for _ in range(54)] + ["now."]
    starts = [sum(map(len, words[:at])) for at in range(len(words))]
    own = [-random.expovariate(4) for _ in words]
    asked = sorted(random.sample(range(len(words)), 10))
    spots: list[dict[str, Any]] = [
        {"text": words[at], "place": at, "start": starts[at], "draft_logprob": own[at], "at_most": False, "lead": 0.2}
        | {"alternative": 7, "base_logprob": -2.5 if rejected and at == asked[4] else max(-1.9, -random.expovariate(2))}
        for at in asked
    ]
    text = "".join(words)
    drafted, judged, written = now + 0.6, now + 0.75, now + 1.4
    spans = [
        {"role": "draft", "began": now, "ended": drafted, "tokens": len(words), "used": True},
        {"role": "judge", "began": drafted, "ended": judged, "tokens": 300, "used": True},
        {"role": "base", "began": now, "ended": written if rejected else judged, "tokens": 40, "used": rejected},
    ]
    if rejected:
        spans.append({"role": "draft", "began": drafted, "ended": judged, "tokens": 12, "used": False})
    step = {
        "index": index,
        "text": f"{text.replace('sum', 'total').replace('five', 'six')}\n\n" if rejected else f"{text}\n\n",
        "source": "base" if rejected else "draft",
        "accepted": not rejected,
        "reject_reason": "likelihood" if rejected else None,
        "rejected_text": f"{text}\n\n" if rejected else None,
        "draft_starts": starts,
        "score": min(spot["base_logprob"] for spot in spots),
        "threshold": -2.0,
        "gate": {"level": "both", "why": "idle"},
        "human": None,
        "label_probs": None,
        "label_mass": None,
        "says_label": None,
        "spots": spots,
        "unasked": -0.01,
        "draft_logprobs": own,
        "tokens": len(words),
        "place": index,
        "ends": False,
        "agreement": None,
        "cut": index % 7 == 6,
        "draft_tokens": len(words),
        "discarded_tokens": len(words) if rejected else 0,
        "base_tokens": 57 if rejected else 0,
        "seconds": {"draft_step": 0.6, "judge": 0.15, **({"regenerate": 0.65} if rejected else {})},
        "spans": spans,
    }
    return step, written if rejected else judged
