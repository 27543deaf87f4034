"""Bench journals that hold a recorded run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parents[1] / "data" / "recorded_run.json"


def journal(path: Path, *arms: str) -> Path:
    """A bench journal of one problem."""
    run = json.loads(RECORDED.read_text(encoding="utf-8"))
    about: dict[str, Any] = {"settings": {"judge": "likelihood"}, "preset": "qwen2.5-coder", "problems": "cakes.jsonl"}
    about |= {"base_model": "qwen2.5-coder-1.5b", "draft_model": "qwen2.5-coder-0.5b", "policy": None}
    lines: list[dict[str, Any]] = [{"settings": about}]
    for arm in arms:
        told = {key: run[key] for key in ("steps", "ended", "usage", "seconds", "question", "answer")}
        told["steps"] = [] if arm == "base" else told["steps"]
        lines.append({"problem": "cakes:1", "arm": arm, "sample": 0, "given": "76", "right": True, **told})
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path
