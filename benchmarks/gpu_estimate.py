"""How long each cell takes, by formula: what is measured already counts, and a written-down profile for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gpu_calls import DECODED, SPOTS, spots
from gpu_cells import BASE, FORMS, PLAIN, Cell, Extent, JudgeCall, Runs, Tokens
from gpu_models import PROFILE, STEP, TOKENS_A_PASS

from specreason_graph.tools.decoding import Decoding
from specreason_graph.tools.predict import Mode, Steps, Timings, speedup
from specreason_graph.tools.profiles import Profile, profiles

_WARM_UP = 32  # tokens
_HALF_A_BLOCK = 8  # tokens of the prefix cache that are read again
_ANSWER = 2  # requests of base that end a run

Found = Callable[[Cell], Mapping[str, Any] | None]
"""What was measured of a cell."""


def nothing(_: Cell) -> None:
    """Nothing was measured."""


def seconds(cell: Cell, extent: Extent, found: Found) -> float:
    """That a cell takes, by what was measured so far."""
    times = timings(cell.decode, extent, found)
    reading = times.judge - times.base_first  # of the profile's judge_tokens
    a_token = reading / _profile().judge_tokens
    match cell:
        case Tokens(role="base"):
            return _generations(extent, times.base_first, times.base_token) + cell.context * a_token
        case Tokens():
            return _generations(extent, times.draft_first, times.draft_token)
        case JudgeCall(form="score"):
            return cell.context * a_token + (extent.calls + 1) * times.judge
        case JudgeCall():
            read = sum(spots()) + SPOTS * _HALF_A_BLOCK
            return cell.context * a_token + (extent.calls + 1) * (times.base_first + read * a_token)
        case Runs():
            return extent.rounds * _run(cell, extent.run_tokens, times)


def warm_up(decode: str, extent: Extent, found: Found) -> float:
    """Seconds of what comes behind a start of base, before its first cell."""
    return seconds(Runs(decode, "both", 50), replace(extent, run_tokens=_WARM_UP, rounds=1), found)


def timings(decode: str, extent: Extent, found: Found) -> Timings:
    """Of a pair: what is not measured is as much slower than in the profile as base's token is."""
    profile = _profile().timings
    base, draft = found(Tokens(PLAIN, "base")), found(Tokens(PLAIN, "draft"))
    judge = found(JudgeCall(PLAIN, FORMS[0], extent.contexts[0]))
    slower = base["token_ms"] / 1000 / profile.base_token if base else 1.0
    base_first = base["first_token_ms"] / 1000 if base else slower * profile.base_first
    plain = Timings(
        base_token=slower * profile.base_token,
        base_first=base_first,
        draft_token=draft["token_ms"] / 1000 if draft else slower * profile.draft_token,
        draft_first=draft["first_token_ms"] / 1000 if draft else slower * profile.draft_first,
        judge=max(judge["ms"] / 1000 if judge else slower * profile.judge, base_first),
    )
    if decode == PLAIN:
        return plain
    guessed = plain.decoded(Decoding(tokens_a_pass=TOKENS_A_PASS), plain.draft_token)
    decoded = found(Tokens(decode, "base"))
    return guessed.model_copy(update={"base_token": decoded["token_ms"] / 1000}) if decoded else guessed


def _generations(extent: Extent, first: float, token: float) -> float:
    return extent.rounds * (first + (DECODED - 1) * token)


def _run(cell: Runs, tokens: int, times: Timings) -> float:
    streams = cell.at_once * (1 if cell.mode in (BASE, "sequential", "look_ahead") else 2)
    crowd = 1 + _profile().per_sequence * (streams - 1)
    crowded = {name: crowd * value for name, value in times.model_dump(exclude={"beyond"}).items()}
    times = times.model_copy(update=crowded)
    alone = tokens * times.base_token
    return _ANSWER * times.base_first + alone / _gain(cell, times)


def _gain(cell: Runs, times: Timings) -> float:
    if cell.mode == BASE:
        return 1.0
    mode: Mode = cell.mode  # type: ignore[assignment]  # of `MODES`, which has the same names
    share = (cell.acceptance or 0) / 100
    return speedup(times, Steps(acceptance=share, drafted=STEP, written=STEP), mode)


def _profile() -> Profile:
    return profiles()[PROFILE]
