"""What else could be tuned where base decodes speculatively: by the longest chain of calls, so nothing is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from critical_path import Lengths
from paced_decoding import accepted, decoder
from paced_grid import RECORDED, Plan, proposals
from paced_runs import BASE, LENGTHS, MODES, unavoidable
from paced_traces import Trace

from specreason_graph.testing import Decoder
from specreason_graph.testing.pace import PLAIN
from specreason_graph.tools.profiles import Profile, profiles

_PROPOSED = (1, 2, 3, 5, 8)
_REQUESTS = (10, 35, 70, 140)  # tokens of the judge's request; the paper's has about 70
_CHUNK = 8  # tokens that stay together


class Placed(NamedTuple):
    """A trace, and which tokens of its text are proposed right."""

    trace: Trace
    matches: str
    start: int = 0

    def decoder(self, profile: Profile, proposed: int) -> Decoder:
        """What proposes so many tokens a pass."""
        return decoder(profile, self.matches, proposed, self.start)


def sweep(plan: Plan) -> dict[str, Any]:
    """`{profile: {acceptance: {"proposed", "judge_request", "matches_follow_acceptance"}}}`.

    - `proposed`: by tokens proposed a pass, `base` is base+decode over base, and `both` is both+decode over that;
    - `judge_request`: by tokens of the judge's request, each mode+decode over base+decode;
    - `matches_follow_acceptance`: each mode+decode over base+decode, where the tokens that are proposed right are in
      the accepted steps as far as they can be. What is run is the other end: there the two don't hang together at all.
    """
    texts = accepted(plan.accepted_tokens)
    names = [*map(str, plan.decoded), *([RECORDED] if plan.recorded else [])]
    found: dict[str, Any] = {}
    for profile in plan.profiles:
        for name in names:
            placed = [
                Placed(trace, *of_it)
                for problem, trace in enumerate(plan.traces(profile)[name])
                for of_it in proposals(texts, name, problem, plan.places)
            ]
            found.setdefault(profile, {})[name] = _swept(profiles()[profile], placed, texts.proposed)
    return found


def _swept(profile: Profile, runs: Sequence[Placed], usual: int) -> dict[str, Any]:
    def seconds(mode: str, runs: Sequence[Placed], proposed: int = usual, lengths: Lengths = LENGTHS) -> float:
        return sum(unavoidable(run.trace, profile, lengths, mode, run.decoder(profile, proposed)) for run in runs)

    def ratios(runs: Sequence[Placed], lengths: Lengths = LENGTHS) -> dict[str, float]:
        return {mode: seconds(BASE, runs) / seconds(mode, runs, lengths=lengths) for mode in MODES}

    plain = sum(unavoidable(run.trace, profile, LENGTHS, BASE, PLAIN) for run in runs)
    alone = {proposed: seconds(BASE, runs, proposed) for proposed in _PROPOSED}
    return {
        "proposed": {
            str(proposed): {"base": plain / alone[proposed], "both": alone[proposed] / seconds("both", runs, proposed)}
            for proposed in _PROPOSED
        },
        "judge_request": {str(tokens): ratios(runs, replace(LENGTHS, request=tokens)) for tokens in _REQUESTS},
        "matches_follow_acceptance": ratios([following(run) for run in runs]),
    }


def following(run: Placed) -> Placed:
    """The same tokens, as many as the trace has, the easiest chunks of them in its accepted steps."""
    tokens = sum(step.written for step in run.trace.steps)
    text = (run.matches[run.start :] + run.matches * (1 + tokens // len(run.matches)))[:tokens]
    chunks = [text[at : at + _CHUNK] for at in range(0, tokens, _CHUNK)]
    easiest = "".join(sorted(chunks, key=lambda chunk: -chunk.count("1") / len(chunk)))
    easy = sum(step.written for step in run.trace.steps if step.accepted)
    left = {True: iter(easiest[:easy]), False: iter(easiest[easy:])}
    reasoning = "".join("".join(islice(left[step.accepted], step.written)) for step in run.trace.steps)
    return Placed(run.trace, "0" * LENGTHS.opening + reasoning)
