"""The time of the model calls that a run could not have avoided: what efficiency is measured by.

Each call costs what the profile says of a server that has nothing else to do, and the client nothing at all. A call
of n tokens behind u uncached prompt tokens takes

    F(u) + (n - 1) t,   where F(u) = round trip + pass + u / prefill rate

and t is the time a token. Where base has a decoder, its call takes as many passes as give the n - 1 tokens, from the
same place in the text as on the server, each of t and the time of the proposals. u follows from the prefix cache's
blocks of 16 tokens: of a prompt of p tokens whose first k have been computed, u = p - 16 * floor(min(k, p - 1) / 16).
With step k drafted from time s on, drafted by d, judged by v, and base's own version of it written by h:

- sequential: d = s + draft, v = d + judge, and a reject ends at v + base's step; the next draft begins there;
- look-ahead: behind an accept the draft has gone on writing (no call, no prefill), so d is the time it needs behind
  the last d; the judge begins when both d and the last v are there;
- hedge: base begins at s (behind its own last step it simply goes on). An accept ends the step at v, a reject at the
  later of v and h.

The last step has one more token, the one that closes the reasoning, and the answer follows as one more call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from paced_traces import Trace

from specreason_graph.contract.settings import Role
from specreason_graph.testing import Decoder
from specreason_graph.testing.pace import PLAIN
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


def base_alone(trace: Trace, profile: Profile, lengths: Lengths, decoder: Decoder = PLAIN) -> float:
    """Seconds of base's own reasoning in one call, and of its answer."""
    base = _Server(profile, "base", decoder)
    tokens = sum(step.written for step in trace.steps) + 1
    seconds = base.call(0.0, lengths.opening).more(tokens)
    base.knows(lengths.opening + tokens - 1)
    return _answered(seconds, base, lengths.opening + tokens - 1, lengths)


def critical_path(trace: Trace, profile: Profile, lengths: Lengths, mode: Mode, decoder: Decoder = PLAIN) -> float:
    """Seconds of the longest chain of calls that had to wait for each other."""
    base, draft = _Server(profile, "base", decoder), _Server(profile, "draft")
    kept = lengths.opening
    now = 0.0  # when the last kept step was there
    own = inf  # when base has its own version of the step
    drafting: _Call | None = None
    hedging: _Call | None = None
    for step, more in [*((step, 0) for step in trace.steps[:-1]), (trace.steps[-1], 1)]:
        drafting = drafting or draft.call(now, kept)
        drafted = drafting.more(step.drafted + more)
        if mode.hedge:
            hedging = hedging or base.call(now, kept)
            own = hedging.more(step.written + more)
        asked = max(drafted, now)
        verdict = asked + base.first(kept + step.drafted + lengths.request, knows=kept + step.drafted * step.accepted)
        if step.accepted:
            now = verdict
        elif mode.hedge:
            now = max(verdict, own)
        else:
            now = base.call(verdict, kept).more(step.written + more)
        kept += step.written
        (draft if step.accepted else base).knows(kept - 1 + more)  # who wrote the last token has not read it
        drafting = drafting if mode.look_ahead and step.accepted else None
        hedging = None if step.accepted else hedging
    return _answered(now, base, kept, lengths)


def _answered(now: float, base: _Server, reasoning: int, lengths: Lengths) -> float:
    return base.call(now, reasoning + lengths.cue).more(lengths.answer)


class _Server:
    """One model's timings, and how many of the run's tokens it has computed."""

    def __init__(self, profile: Profile, role: Role, decoder: Decoder = PLAIN) -> None:
        self._decoder = decoder
        self._pass = profile.step(role) + decoder.seconds
        self._before = profile.round_trip + profile.step(role)
        self._rate = profile.prompt_tokens_per_second(role)
        self._known = 0

    def call(self, now: float, prompt: int) -> _Call:
        """One that writes behind a prompt, begun now."""
        return _Call(now + self.first(prompt), self._pass, self._decoder.passes(prompt + 1))

    def first(self, prompt: int, *, knows: int | None = None) -> float:
        """Seconds to the first token behind a prompt, which is known afterwards (as far as `knows`)."""
        uncached = prompt - _BLOCK * (min(self._known, prompt - 1) // _BLOCK)
        self.knows(prompt if knows is None else knows)
        return self._before + uncached / self._rate

    def knows(self, tokens: int) -> None:
        """So many tokens of the run have been computed."""
        self._known = max(self._known, tokens)


class _Call:
    """A model that writes on until it is cut off."""

    def __init__(self, first: float, seconds: float, passes: Iterator[int]) -> None:
        self._at = first
        self._seconds = seconds
        self._passes = passes
        self._there = 1
        self._wanted = 0

    def more(self, tokens: int) -> float:
        """When so many tokens more than before are there."""
        self._wanted += tokens
        while self._there < self._wanted:
            self._there += next(self._passes)
            self._at += self._seconds
        return self._at
