"""What is asked, and what scripted models say to it: a function of the seed and of the question's text alone."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from langchain_core.messages import HumanMessage

from specreason_graph import Settings
from specreason_graph.testing import Script

_NUMBER = re.compile(r"Question (\d+):")


@dataclass(frozen=True, slots=True)
class Question:
    """One of them; its scripted models come to the same steps whoever writes each one."""

    text: str
    settings: Settings
    steps: tuple[str, ...] | None = None
    """The texts that are kept, with faults and without; None where nobody can tell."""
    drafted: tuple[str, ...] = ()
    scores: tuple[int, ...] = ()
    answer: str | None = None

    @property
    def asked(self) -> Any:
        """As the graph takes it."""
        return {"messages": [HumanMessage(self.text, id="1")]}


@lru_cache(maxsize=256)
def scripted(seed: int, number: int) -> Question:
    """Three to six steps, some of them drafted wrongly: those base rejects, and writes itself."""
    chance = random.Random(f"question {seed} {number}")
    scores = tuple(chance.choice((9, 9, 2)) for _ in range(chance.randint(3, 6)))
    steps = tuple(f"In question {number}, step {n} says that {n} and {number} is {n + number}." for n in _of(scores))
    wrong = tuple(f"In question {number}, step {n} says that {n} and {number} is {n - number}." for n in _of(scores))
    return Question(
        text=f"Question {number}: how much is it?",
        # Some draft at any load: by itself the gate has base write alone where so many share a server.
        settings=Settings(
            gate=chance.choice(("always", "auto")),
            degrade=chance.random() < 0.8,
            answer_by=chance.choice(("base", "base", "draft")),
        ),
        steps=steps,
        drafted=tuple(right if score > 6 else bad for right, bad, score in zip(steps, wrong, scores, strict=True)),
        scores=scores,
        answer=f"Question {number} comes to {chance.randint(10, 99)}.",
    )


def sums(seed: int, number: int) -> Question:
    """For real models, of whose words nothing is known."""
    chance = random.Random(f"sum {seed} {number}")
    text = f"What is {chance.randint(10, 99)} + {chance.randint(10, 99)}? Think in two short steps."
    return Question(text, Settings(reasoning_budget=48, answer_budget=24, temperature=0.0))


def scripts(seed: int) -> tuple[Script, Script]:
    """Of base and of the draft; a question that is none of these gets the plain script."""

    def asked(written: Callable[[Question], Script], text: str) -> Script:
        found = _NUMBER.search(text)
        return plain if found is None else written(scripted(seed, int(found[1])))

    def base(it: Question) -> Script:
        return Script(it.steps or (), answer=it.answer or "", scores=it.scores)

    def draft(it: Question) -> Script:
        return Script(it.drafted, answer=it.answer or "")

    plain = Script(["So it is."])
    return Script(["So it is."], asked=partial(asked, base)), Script(["So it is."], asked=partial(asked, draft))


def _of(scores: tuple[int, ...]) -> range:
    return range(1, len(scores) + 1)
