"""The gate: what pays at the load of now, decided before each step. One pure function of what is seen.

Three levels, the costliest first:

- `both`: the draft writes, looks ahead, and base hedges. What base writes for nothing costs little while its batch is
  small.
- `look_ahead`: the draft writes and looks ahead; base reads, and writes what was rejected.
- `base`: base writes alone, in one stream: no request a step, no judge.

Where B runs share base's server, and a pass of it takes p seconds (more with more sequences), a run's step of n tokens
takes

    base         n p
    both         a r + (1 - a) max(n p, r) + B j                 base hedges: it has B sequences, as above
    look_ahead   r + (1 - a) n p' + B j                          fewer of them, and so a shorter pass p'

seconds. Of drafted tokens, a are kept. r is how long a drafted step is waited for until it is judged: what look-ahead
does not hide of the draft, and one and a half passes. j is how long one judge keeps the server from all others. The
regimes:

- **Idle** (few runs): nobody waits for base, and both overlaps hide their cost. The formula isn't asked.
- **New**: some runs draft, until it is known what that costs and saves; the others don't.
- **Busy**: n p hardly changes with B, but B j grows; drafting goes where it costs more than it saves.
- **Queueing** (the server says that requests wait): one level lower at once, whatever the formula says.
- **Gone** (the draft's server fails): base alone, whatever the load, until it answers again.
- **Rejected**: a run whose drafts are nearly all rejected has base alone, at any load.

A level has to be faster than another by more where it is entered than where it is left, so that noise does not toggle
it. What is closed gives no evidence of its own: now and then a step is a probe, with both overlaps, so that a reject
costs its run nothing. Which ones is drawn from the run's seed and question. Never slower is thus a promise for many
runs, not for each.
"""

from __future__ import annotations

from dataclasses import dataclass

from specreason_graph.contract.settings import GateMode
from specreason_graph.contract.state import Gate, GateLevel, GateReason, Step
from specreason_graph.generation.load import Seen
from specreason_graph.loop.run import Run
from specreason_graph.models.conversation import digest

LEVELS: tuple[GateLevel, ...] = ("both", "look_ahead", "base")
DRAFT_GONE = Gate(level="base", why="draft_gone")
STAY, ENTER = 1.0, 1.05
"""How much faster than base alone a level must be: that of the last step, and another one."""
IDLE = 2
"""Runs at once that can't be in each other's way: a batch of so few has room for what they do for nothing."""
HOPELESS, ENOUGH = 0.04, 400
"""Share of drafted tokens kept, below which a run is better off without; told after so many drafted tokens."""
_PRIOR = 200
"""Drafted tokens of its own with which a run weighs as much as all the others."""
_RECENT = 100
"""Steps that say how a run's drafts fare."""
_PROBES, _EXPLORERS = 0.05, 8
"""The share of steps that are probes where so many runs or fewer are at work; where there are more, they share these.
So many are also enough to find out what nobody knows yet."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a run knows of itself."""

    level: GateLevel | None
    """Of its last step."""
    drafted: int
    """Tokens that were judged."""
    accepted: int
    lot: float
    """Drawn for its next step, from 0 up to 1."""


def gate_of(run: Run) -> Gate:
    """The gate of a run's next step, by its settings and the load of its pair."""
    if run.alone:
        return DRAFT_GONE
    mode: GateMode = run.settings.gate
    if mode != "auto":
        return Gate(level="both" if mode == "always" else "base", why="settings")
    return decide(run.pair.live.seen(), own(run))


def own(run: Run) -> Own:
    """What a run's steps say."""
    at = len(run.steps)
    judged = [step for step in run.steps[-_RECENT:] if step["accepted"] is not None]
    return Own(
        level=run.steps[-1]["gate"]["level"] if run.steps else None,
        drafted=sum(_tokens(step) for step in judged),
        accepted=sum(_tokens(step) for step in judged if step["accepted"]),
        lot=int(digest(["gate", run.settings.seed, run.identity["question"], at])[:8], 16) / 16**8,
    )


def decide(seen: Seen, run: Own) -> Gate:
    """The level of the next step, and why."""
    level, why = _weighed(seen, run)
    if why in ("load", "rejected") and run.lot * max(seen.runs, _EXPLORERS) < _PROBES * _EXPLORERS:
        return Gate(level="both", why="probe")
    return Gate(level=level, why=why)


def _weighed(seen: Seen, run: Own) -> tuple[GateLevel, GateReason]:
    if run.drafted >= ENOUGH and run.accepted < HOPELESS * run.drafted:
        return "base", "rejected"
    if seen.runs <= IDLE and not seen.waiting:
        return "both", "idle"
    last = run.level or "both"
    if seen.waiting:
        return LEVELS[min(LEVELS.index(last) + 1, len(LEVELS) - 1)], "queue"
    takes = seconds(seen, _acceptance(seen, run))
    if takes is None:
        return (last if run.lot * seen.runs < _EXPLORERS else "base"), "unknown"
    worth = {level: takes[level] * (STAY if level == last else ENTER) for level in LEVELS if level != "base"}
    best = min(worth, key=worth.__getitem__)
    return (best if worth[best] <= takes["base"] else "base"), "load"


def seconds(seen: Seen, acceptance: float) -> dict[GateLevel, float] | None:
    """How long a step takes at each level, were all runs on it; None while that can't be told."""
    measured = seen.token_seconds, seen.judge_seconds, seen.draft_seconds, seen.step_tokens
    if None in measured:
        return None
    pace, judge, draft, tokens = (value or 0.0 for value in measured)
    alone, judges = tokens * pace, seen.runs * judge
    read, rejected = draft + 1.5 * pace, (1 - acceptance) * alone
    idle = 1 - rejected / max(read + rejected, 1e-9)  # the share of base's sequences that are not there without hedges
    shorter = max(0.0, pace - seen.sequence_seconds * seen.runs * idle)
    return {
        "both": acceptance * read + (1 - acceptance) * max(alone, read) + judges,
        "look_ahead": draft + 1.5 * shorter + (1 - acceptance) * tokens * shorter + judges,
        "base": alone,
    }


def _acceptance(seen: Seen, run: Own) -> float:
    """By tokens: that of all runs, and the run's own the more it has drafted."""
    return (run.accepted + _PRIOR * seen.acceptance) / (run.drafted + _PRIOR)


def _tokens(step: Step) -> int:
    return len(step["draft_logprobs"])
