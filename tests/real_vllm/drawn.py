"""A vision-language pair that was taught: base reads drawings better than the draft does.

    python -m tests.real_vllm.drawn FOLDER      # teaches it (some 15 minutes), and says how to measure it

A drawing has four rows of four cells, each empty or with a square of some size, place and shade. The question is how
many squares are red, and the lesson is to say it row by row. Problems and lessons are different drawings. The draft has
fewer layers and was taught less: it writes as base does, and counts worse.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
from pathlib import Path

from PIL import Image, ImageDraw

from specreason_graph.judging.catalog import builtin

from . import environment, seeing
from .servers import plan

_CELLS = 4
_HUES: dict[str, tuple[int, int] | None] = {"": None, "red": (-12, 12), "orange": (16, 40), "purple": (290, 330)}
"""Of a square, in degrees; an empty cell has none."""
_QUESTION = "How many red squares are in the picture?"
_LESSONS, _PROBLEMS = 3800, 120
_BATCHES = {"base": 1100, "draft": 800}
"""Of lessons."""


def make(folder: Path) -> Path:
    """The problems' file; the models are `drawn-base` and `drawn-draft`."""
    seeing.make()
    lessons = folder / "lessons"
    if not (lessons / "lessons.jsonl").exists():
        _draw(lessons, "lessons.jsonl", _LESSONS, seed=1)
    if not (folder / "problems.jsonl").exists():
        _draw(folder, "problems.jsonl", _PROBLEMS, seed=2)
    for role, batches in _BATCHES.items():
        target = seeing.model(f"drawn-{role}")
        if not target.exists():
            half = target.with_suffix(".part")
            shutil.rmtree(half, ignore_errors=True)
            teacher = Path(__file__).with_name("teach.py")
            seeing.run(environment.python(), teacher, seeing.model(f"seeing-{role}"), half, lessons, str(batches))
            seeing.complete(half)
            half.rename(target)
    return folder / "problems.jsonl"


def _draw(folder: Path, name: str, count: int, *, seed: int) -> None:
    (folder / "drawings").mkdir(parents=True, exist_ok=True)
    chance, rows = random.Random(seed), []
    asked = builtin().presets["instruct"].wording(boxed=True).prompt.replace("{question}", _QUESTION)
    for at in range(count):
        cells = [[chance.choice([*_HUES]) for _ in range(_CELLS)] for _ in range(_CELLS)]
        image = f"drawings/{seed}-{at}.png"
        _drawing(cells, chance).save(folder / image)
        reds = [row.count("red") for row in cells]
        lines = [f"Row {number} has {red} red." for number, red in enumerate(reds, 1)]
        total = f"{' + '.join(map(str, reds))} = {sum(reds)}."
        answer = "\n\n".join([*lines, total, f"The final answer is \\boxed{{{sum(reds)}}}."])
        if name == "problems.jsonl":
            rows.append({"problem": _QUESTION, "answer": str(sum(reds)), "image": image})
        else:
            rows.append({"question": asked, "answer": answer, "image": image})
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _drawing(cells: list[list[str]], chance: random.Random) -> Image.Image:
    drawn = Image.new("RGB", (_CELLS * seeing.SIDE,) * 2, "white")
    pen = ImageDraw.Draw(drawn)
    for y, row in enumerate(cells):
        for x, name in enumerate(row):
            if hues := _HUES[name]:
                side = chance.randint(8, 20)
                left, top = (at * seeing.SIDE + chance.randint(2, seeing.SIDE - side - 2) for at in (x, y))
                hue, light = chance.randint(*hues) % 360, chance.randint(35, 65)
                pen.rectangle((left, top, left + side, top + side), fill=f"hsl({hue}, 90%, {light}%)")
    return drawn


def _commands(folder: Path, problems: Path) -> str:
    """What serves the pair, and what measures it."""
    args = ["--dtype", "float32", "--enable-scale-out"]
    named = folder / "pair.toml"
    named.write_text(
        plan("drawn-base", "drawn-draft", base_args=args, draft_args=args, max_model_len=seeing.CONTEXT),
        encoding="utf-8",
    )
    return (
        f"PYTHONPATH={seeing.imports()} specreason up {named} --env-file {folder / 'env'} &\n"
        f"set -a; . {folder / 'env'}; set +a\n"
        f"specreason bench --problems {problems} --preset instruct --judge likelihood --temperature 0 \\\n"
        "  --reasoning-budget 160 --answer-budget 24 --step-tokens 32 --concurrency 4 \\\n"
        f"  --arm base --arm draft --arm paper --arm ours --arm random@0.5 --out {folder / 'bench.jsonl'}"
    )


if __name__ == "__main__":
    print(_commands(Path(sys.argv[1]), make(Path(sys.argv[1]))))
