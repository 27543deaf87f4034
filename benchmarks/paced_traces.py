"""What a run did, in counts: replayed by two scripted models, it is the same run on any hardware."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from specreason_graph.contract.errors import ConfigError
from specreason_graph.testing import Script, tokenizer
from specreason_graph.tools.bench.journal import read_journal

RECORDED_RUNS = Path(__file__).parent / "recorded.json"
ANSWER = "42"
_STAYS = 0.57  # P(accept | accept) - P(accept | reject), 0.94 - 0.37 in 2,070 logged steps
_LEAST = 2  # tokens of a step: a word and what ends it


class TraceStep(NamedTuple):
    """Tokens of one step, each with the boundary that ends it."""

    drafted: int
    written: int
    """What base wrote, or would have written: of an accepted step as much as was drafted."""
    accepted: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """One problem's steps, and the seed of the words that stand for them."""

    steps: tuple[TraceStep, ...]
    seed: int

    @property
    def acceptance(self) -> float:
        """The share of accepted steps."""
        return sum(step.accepted for step in self.steps) / len(self.steps)

    def scripts(self) -> tuple[Script, Script]:
        """What base says and judges, and what the draft says.

        Base's own version of an accepted step is the drafted one to the letter, so that it changes nothing which of
        the two is kept.
        """
        chance = random.Random(self.seed)
        base, draft, scores = [], [], []
        for step in self.steps:
            draft.append(_words(step.drafted, chance))
            base.append(draft[-1] if step.accepted else _words(step.written, chance))
            scores.append(9 if step.accepted else 1)
        return Script(base, ANSWER, scores=scores), Script(draft, ANSWER)


@dataclass(frozen=True, slots=True)
class _Each:
    """A script for each question, by the number in it."""

    scripts: tuple[Script, ...]

    def __call__(self, question: str) -> Script:
        number = re.search(r"\d+", question)  # none in a prompt's first tokens, of which a likelihood may be asked
        return self.scripts[int(number[0]) % len(self.scripts) if number else 0]


def scripts_of(traces: Sequence[Trace]) -> tuple[Script, Script]:
    """What base and the draft say to questions of which each goes its own way, by its number."""
    base, draft = zip(*(trace.scripts() for trace in traces), strict=True)
    return Script([], asked=_Each(base)), Script([], asked=_Each(draft))


def synthetic(acceptance: float, *, steps: int, tokens: int, seed: int = 0) -> Trace:
    """Steps of equal length, accepted at exactly this rate (as near as the count of steps lets it).

    Accepts and rejects come in runs, as logged ones do: the next step is accepted with probability
    `a + 0.57 (1 - a)` behind an accept and `(1 - 0.57) a` behind a reject, which are 0.94 and 0.37 at a = 0.86.
    """
    chance, wanted = random.Random(seed), round(acceptance * steps)
    while True:
        accepted = [chance.random() < acceptance]
        while len(accepted) < steps:
            odds = acceptance + _STAYS * (1 - acceptance) if accepted[-1] else (1 - _STAYS) * acceptance
            accepted.append(chance.random() < odds)
        if sum(accepted) == wanted:
            return Trace(tuple(TraceStep(tokens, tokens, it) for it in accepted), seed)


def record(journal: Path, arm: str, out: Path) -> int:
    """Take an arm's counts, and nothing else, out of a journal of `specreason bench`. Returns how many runs.

    Raises:
        ConfigError: it is no journal, or has no run of the arm whose every step was drafted.
    """
    settings, outcomes = read_journal(journal)
    problems = [
        [[step["draft_tokens"], step["base_tokens"], step["accepted"]] for step in outcome["steps"]]
        for outcome in outcomes
        if outcome["arm"] == arm and outcome["steps"] and all(step["accepted"] is not None for step in outcome["steps"])
    ]
    if not problems:
        raise ConfigError(f"record: {journal} has no run of arm {arm!r} whose every step was drafted and judged")
    pair = {"base_model": settings.get("base_model"), "draft_model": settings.get("draft_model"), "arm": arm}
    lines = ",\n".join(f"    {json.dumps(problem)}" for problem in problems)
    columns = json.dumps(["drafted tokens", "base's tokens", "accepted"])
    out.write_text(
        f'{{\n  "recorded_from": {json.dumps(pair)},\n  "columns": {columns},\n  "problems": [\n{lines}\n  ]\n}}\n',
        encoding="utf-8",
    )
    return len(problems)


def recorded(count: int, path: Path = RECORDED_RUNS) -> list[Trace]:
    """The first recorded problems.

    Raises:
        ConfigError: the file is not one that `record` wrote.
    """
    try:
        problems: list[list[tuple[int, int, bool]]] = json.loads(path.read_text(encoding="utf-8"))["problems"]
        return [_trace(steps, seed) for seed, steps in enumerate(problems[:count])]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"replay: {path} holds no recorded runs ({error}); make one with --record") from error


def _trace(steps: Sequence[tuple[int, int, bool]], seed: int) -> Trace:
    return Trace(
        tuple(
            TraceStep(max(_LEAST, drafted), max(_LEAST, drafted if accepted else written), accepted)
            for drafted, written, accepted in steps
        ),
        seed,
    )


def _words(tokens: int, chance: random.Random) -> str:
    """A step of so many tokens, with the blank line behind it, which the full stop takes along into its token."""
    first, others = _vocabulary()
    return chance.choice(first) + "".join(chance.choices(others, k=tokens - _LEAST)) + "."


@cache
def _vocabulary() -> tuple[list[str], list[str]]:
    """Words that are one token each: at the beginning of a text, and behind others."""
    spellings = [raw.decode(errors="replace") for raw in tokenizer("a").spelling]
    return tuple([s for s in spellings if re.fullmatch(form, s)] for form in ("[A-Z][a-z]+", " [a-z]+"))  # type: ignore[return-value]
