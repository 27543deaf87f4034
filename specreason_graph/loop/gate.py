"""The gate: what pays at the load of now, decided before each step. One pure function of what is seen.

Three levels, the costliest first:

- `both`: the draft writes, looks ahead, and base hedges. What base writes for nothing costs little while its batch is
  small.
- `look_ahead`: the draft writes and looks ahead; base reads, and writes what was rejected.
- `base`: base writes alone, in one stream: no request a step, no judge.

A step of n tokens costs base n * t / B seconds of its server where B sequences share its passes of t seconds. A draft
saves that where it is accepted (a, by tokens), and costs what its judge keeps the server busy for (j), and the tokens
that hedges write for nothing (h, at what one more sequence adds to a pass). So draft only while

    a * n * t / B  >=  margin * (j + h * added)

and hedge only where it holds with h. The regimes:

- **Idle** (few runs): nobody waits for base, and both overlaps hide their cost. The formula isn't asked.
- **Busy**: t / B falls with every run, j does not; hedges go first, then drafting.
- **Queueing** (the server says that requests wait): one level lower at once, whatever the formula says.
- **Gone** (the draft's server fails): base alone, whatever the load, until it answers again.
- **Rejected**: a run whose drafts are nearly all rejected has base alone, at any load.

A level is left at a lower margin than it is entered at, so that noise does not toggle it. What is closed gives no
evidence of its own: in a few windows of steps a run probes, one level above what the formula says. Which ones follows
from the run's seed and question. Never slower is thus a promise for many runs after warm-up, not for each.
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
STAY, ENTER = 1.3, 1.6
"""Margins: of a level that the run is at or below, and of one above it."""
IDLE = 2
"""Runs at once that can't be in each other's way: a batch of so few has room for what they do for nothing."""
HOPELESS, ENOUGH = 0.04, 400
"""Share of drafted tokens kept, below which a run is better off without; told after so many drafted tokens."""
_PRIOR = 200
"""Drafted tokens of its own with which a run weighs as much as all the others."""
_RECENT = 100
"""Steps that say how a run's drafts fare."""
_PROBES, _WINDOW = 20, 8
"""One in so many windows of so many steps is a probe."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a run knows of itself."""

    level: GateLevel | None
    """Of its last step."""
    drafted: int
    """Tokens that were judged."""
    accepted: int
    probes: bool


def gate_of(run: Run) -> Gate:
    """The gate of a run's next step, by its settings and the load of its pair."""
    if run.alone:
        return DRAFT_GONE
    mode: GateMode = run.settings.gate
    if mode != "auto":
        return Gate(level="both" if mode == "always" else "base", why="settings")
    return decide(run.pair.live.load.seen(), own(run))


def own(run: Run) -> Own:
    """What a run's steps say."""
    judged = [step for step in run.steps[-_RECENT:] if step["accepted"] is not None]
    window = [run.settings.seed, run.identity["question"], len(run.steps) // _WINDOW]
    return Own(
        level=run.steps[-1]["gate"]["level"] if run.steps else None,
        drafted=sum(_tokens(step) for step in judged),
        accepted=sum(_tokens(step) for step in judged if step["accepted"]),
        probes=int(digest(["gate", *window])[:7], 16) % _PROBES == 0,
    )


def decide(seen: Seen, run: Own) -> Gate:
    """The level of the next step, and why."""
    level, why = _weighed(seen, run)
    if why in ("load", "rejected") and run.probes:
        return Gate(level=LEVELS[max(0, LEVELS.index(level) - 1)], why="probe")
    return Gate(level=level, why=why)


def _weighed(seen: Seen, run: Own) -> tuple[GateLevel, GateReason]:
    if run.drafted >= ENOUGH and run.accepted < HOPELESS * run.drafted:
        return "base", "rejected"
    if seen.runs <= IDLE and not seen.waiting:
        return "both", "idle"
    at = LEVELS.index(run.level or "both")
    if seen.waiting:
        return LEVELS[min(at + 1, len(LEVELS) - 1)], "queue"
    if seen.token_seconds is None or seen.judge_seconds is None or seen.step_tokens is None:
        return LEVELS[at], "unknown"
    saved = _acceptance(seen, run) * seen.step_tokens * seen.token_seconds / seen.runs
    costs = (seen.judge_seconds + seen.wasted_tokens * seen.sequence_seconds, seen.judge_seconds)
    for place, cost in enumerate(costs):
        if saved >= (STAY if at <= place else ENTER) * cost:
            return LEVELS[place], "load"
    return "base", "load"


def _acceptance(seen: Seen, run: Own) -> float:
    """By tokens: that of all runs, and the run's own the more it has drafted."""
    others = seen.acceptance if seen.acceptance is not None else 0.5
    return (run.accepted + _PRIOR * others) / (run.drafted + _PRIOR)


def _tokens(step: Step) -> int:
    return len(step["draft_logprobs"])
