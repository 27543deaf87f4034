"""What is measured on a GPU: every figure is a cell of its own, so that a run that is cut short loses only one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from specreason_graph.contract.settings import Role

Part = Literal["tokens", "judge", "runs", "at_once", "decode"]
PARTS: tuple[Part, ...] = ("tokens", "judge", "runs", "at_once", "decode")

Form = Literal["score", "likelihood"]
FORMS: tuple[Form, ...] = ("score", "likelihood")

BASE = "base"
"""Base alone, in one generation."""
MODES = {
    "sequential": {"look_ahead": False, "hedge": False},
    "look_ahead": {"look_ahead": True, "hedge": False},
    "hedge": {"look_ahead": False, "hedge": True},
    "both": {"look_ahead": True, "hedge": True},
}
"""What a run overlaps; nothing else differs."""
_FEW = ("sequential", "both")  # where every mode would take too long

PLAIN = "none"
"""Base without speculative decoding; other values are those of `LaunchPlan.decode`."""
CONTEXT = 1024
"""Tokens of context at which a token is timed, and what other figures are told in."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Time to the first token behind a warm prefix, and per token."""

    decode: str
    role: Role
    context: int = CONTEXT


@dataclass(frozen=True, slots=True)
class JudgeCall:
    """One judge request behind a warm prefix, with a step that base has not read."""

    decode: str
    form: Form
    context: int


@dataclass(frozen=True, slots=True)
class Runs:
    """Some whole runs at the same time, in one mode, at a forced acceptance in per cent (None: base alone)."""

    decode: str
    mode: str
    acceptance: int | None
    at_once: int = 1


Cell = Tokens | JudgeCall | Runs


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    contexts: tuple[int, ...] = (1024, 4096, 8192, 16384)
    """Tokens behind which a judge is asked."""
    acceptances: tuple[int, ...] = (20, 50, 80)
    """In per cent. The middle one is used where one has to do."""
    at_once: tuple[int, ...] = (1, 8, 32)
    run_tokens: int = 512
    """Kept tokens of a run."""
    rounds: int = 3
    """Times that each run and each generation is repeated."""
    calls: int = 20
    """Judge requests of each kind."""

    @property
    def sequences(self) -> int:
        """At a time on a server: a run has two at most. Few, since a graph is captured for each size of a batch."""
        return max(_SEQUENCES, 2 * max(self.at_once))

    @property
    def longest(self) -> int:
        """Tokens that a model's context has to hold for the runs; judging behind long contexts needs more."""
        return CONTEXT + 2 * self.run_tokens + _MARGIN


_SEQUENCES = 16  # spots of the likelihood form, all at a time
_MARGIN = 512  # tokens: a step, the judge's request, an answer


def cells(extent: Extent, parts: Sequence[Part], decodes: Sequence[str]) -> list[Cell]:
    """All that these parts need, what is told in base's tokens behind those; servers are started once a `decode`.

    Args:
        extent: how much.
        parts: which figures.
        decodes: kinds of speculative decoding inside base, beside none.
    """
    middle = extent.acceptances[len(extent.acceptances) // 2]
    wanted: list[Cell] = [Tokens(PLAIN, "base"), Tokens(PLAIN, "draft")]
    if "judge" in parts:
        wanted += [JudgeCall(PLAIN, form, context) for context in extent.contexts for form in FORMS]
    if "runs" in parts:
        wanted += [_alone(PLAIN), *(Runs(PLAIN, mode, share) for share in extent.acceptances for mode in MODES)]
    if "at_once" in parts:
        for at_once in extent.at_once:
            wanted += [_alone(PLAIN, at_once), *(Runs(PLAIN, mode, middle, at_once) for mode in _FEW)]
    if "decode" in parts:
        for decode in (PLAIN, *decodes):
            wanted += [Tokens(decode, "base"), _alone(decode), *(Runs(decode, mode, middle) for mode in _FEW)]
    return list(dict.fromkeys(wanted))


def telling(extent: Extent, decode: str) -> list[Cell]:
    """What a few minutes are spent on, what tells most first; `in_groups` is the order in which it is measured.

    Args:
        extent: how much.
        decode: the kind of speculative decoding inside base.
    """
    shares = sorted(extent.acceptances, reverse=True)  # first where the loop gains most

    def compared(decode: str, mode: str, at_once: int = 1) -> list[Cell]:
        return [_alone(decode, at_once), *(Runs(decode, mode, share, at_once) for share in shares)]

    ranked: list[Cell] = [
        Tokens(PLAIN, "base"),  # in what all else is told, and what every estimate of time begins with
        Tokens(PLAIN, "draft"),
        *compared(PLAIN, "both"),  # is the loop faster than base alone? That is the question.
        *(JudgeCall(PLAIN, form, context) for context in extent.contexts for form in FORMS),  # with tokens: a profile
        Tokens(decode, "base"),
        *compared(decode, "both"),  # than base with decoding, which costs a user one flag, and together with it?
        *compared(PLAIN, "sequential"),  # what the paper's loop does of it without overlaps
    ]
    for at_once in extent.at_once:  # under load a pass is shared, and the loop gains less
        for of in (PLAIN, decode):
            ranked += compared(of, "both", at_once)
    for at_once in extent.at_once:
        ranked += compared(PLAIN, "sequential", at_once)
    return list(dict.fromkeys(ranked))


def in_groups(ranked: Sequence[Cell]) -> list[Cell]:
    """In the same order, but all of a kind of decoding together: base is started once for each."""
    decodes = list(dict.fromkeys(cell.decode for cell in ranked))
    return sorted(ranked, key=lambda cell: decodes.index(cell.decode))


def _alone(decode: str, at_once: int = 1) -> Runs:
    return Runs(decode, BASE, None, at_once)


def alone(cell: Runs) -> Runs:
    """What a cell's runs are compared with: base alone, with the same decoding and as many at once."""
    return _alone(cell.decode, cell.at_once)


def context_of(extent: Extent, todo: Sequence[Cell]) -> int:
    """Tokens that both models' contexts must hold for these cells."""
    judged = [cell.context + _MARGIN for cell in todo if isinstance(cell, JudgeCall)]
    return max([extent.longest, *judged])
