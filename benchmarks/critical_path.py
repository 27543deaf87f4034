"""The time of the model calls that a run could not have avoided: what efficiency is measured by.

Each call costs what the profile says of a server that has nothing else to do, and the client nothing at all. A call
of n tokens behind u uncached prompt tokens takes

    F(u) + (n - 1) t,   where F(u) = round trip + pass + u / prefill rate

and t is the time a token. u follows from the prefix cache's blocks of 16 tokens: of a prompt of p tokens whose first k
have been computed, u = p - 16 * floor(min(k, p - 1) / 16). With step k drafted from time s on, drafted by d, judged by
v, and base's own version of it written by h:

- sequential: d = s + draft, v = d + judge, and a reject ends at v + base's step; the next draft begins there;
- look-ahead: behind an accept the draft has gone on writing (no call, no prefill), so d is the time it needs behind
  the last d; the judge begins when both d and the last v are there;
- hedge: base begins at s (behind its own last step it simply goes on). An accept ends the step at v, a reject at the
  later of v and h.

The last step has one more token, the one that closes the reasoning, and the answer follows as one more call.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from paced_traces import Trace

from specreason_graph.contract.settings import Role
from specreason_graph.tools.profiles import Profile

_BLOCK = 16


@dataclass(frozen=True, slots=True)
class Lengths:
    """Tokens around the steps."""

    opening: int
    """The rendered question."""
    request: int
    """The judge's request."""
    cue: int
    """What stands between the reasoning and the answer."""
    answer: int
    """With the token that ends the turn."""


@dataclass(frozen=True, slots=True)
class Mode:
    """What overlaps; neither is the loop in the paper."""

    look_ahead: bool
    hedge: bool


def base_alone(trace: Trace, profile: Profile, lengths: Lengths, gain: float) -> float:
    """Seconds of base's own reasoning in one call, and of its answer."""
    base = _Server(profile, "base", gain)
    tokens = sum(step.written for step in trace.steps) + 1
    seconds = base.first(lengths.opening) + base.more(tokens)
    base.knows(lengths.opening + tokens - 1)
    return seconds + _answer(base, lengths.opening + tokens - 1, lengths)


def critical_path(trace: Trace, profile: Profile, lengths: Lengths, mode: Mode, gain: float) -> float:
    """Seconds of the longest chain of calls that had to wait for each other."""
    base, draft = _Server(profile, "base", gain), _Server(profile, "draft")
    kept = lengths.opening
    now = drafted = 0.0  # when the last kept step was there, and when the draft had written its last one
    own = inf  # when base has its own version of the step
    draft_goes_on = base_goes_on = False
    for step, more in [*((step, 0) for step in trace.steps[:-1]), (trace.steps[-1], 1)]:
        if mode.look_ahead and draft_goes_on:
            drafted += draft.goes_on(step.drafted + more)
        else:
            drafted = now + draft.first(kept) + draft.more(step.drafted + more)
        if mode.hedge:
            begun = own if base_goes_on else now + base.first(kept) - base.token
            own = begun + base.goes_on(step.written + more)
        asked = max(drafted, now)
        verdict = asked + base.first(kept + step.drafted + lengths.request, knows=kept + step.drafted * step.accepted)
        if step.accepted:
            now = verdict
        elif mode.hedge:
            now = max(verdict, own)
        else:
            now = verdict + base.first(kept) + base.more(step.written + more)
        kept += step.written
        (draft if step.accepted else base).knows(kept - 1 + more)  # who wrote the last token has not read it
        base_goes_on, draft_goes_on = mode.hedge and not step.accepted, step.accepted
    return now + _answer(base, kept, lengths)


def _answer(base: _Server, reasoning: int, lengths: Lengths) -> float:
    return base.first(reasoning + lengths.cue) + base.more(lengths.answer)


class _Server:
    """One model's timings, and how many of the run's tokens it has computed."""

    def __init__(self, profile: Profile, role: Role, gain: float = 1.0) -> None:
        self.token = profile.step(role) / gain
        self._before = profile.round_trip + profile.step(role)
        self._rate = profile.prompt_tokens_per_second(role)
        self._known = 0

    def first(self, prompt: int, *, knows: int | None = None) -> float:
        """Seconds to the first token behind a prompt, which is known afterwards (as far as `knows`)."""
        uncached = prompt - _BLOCK * (min(self._known, prompt - 1) // _BLOCK)
        self.knows(prompt if knows is None else knows)
        return self._before + uncached / self._rate

    def more(self, tokens: int) -> float:
        """Seconds from the first to the last of so many tokens."""
        return (tokens - 1) * self.token

    def goes_on(self, tokens: int) -> float:
        """Seconds of so many tokens behind others."""
        return tokens * self.token

    def knows(self, tokens: int) -> None:
        """So many tokens of the run have been computed."""
        self._known = max(self._known, tokens)
