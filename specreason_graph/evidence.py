"""What the judge asks base about a drafted step: one request, all of it behind the same cached prefix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from specreason_graph.endpoint.protocol import Encoded, Reading, Usage
from specreason_graph.ledger import encode_step
from specreason_graph.run import Run
from specreason_graph.scoring import (
    Decision,
    base_logprob,
    decide_by_labels,
    decide_by_likelihood,
    label_distribution,
    least_sure,
)
from specreason_graph.state import RejectReason, Spot, Verdict, Writing


class DraftedToken(NamedTuple):
    """A token of the drafted step in base's vocabulary, and how sure the draft was of it."""

    id: int
    text: str
    logprob: float | None


async def as_base_reads(run: Run, writing: Writing) -> list[DraftedToken]:
    """The drafted step token by token as base reads it, `closing` left out.

    With two tokenizers a base token gets the lowest log-probability of the drafted tokens that it overlaps.
    """
    if run.same_tokenizer:
        pieces = [writing["text"][a:b] for a, b in pairwise([*writing["starts"], len(writing["text"])])]
        return [DraftedToken(*token) for token in zip(writing["ids"], pieces, writing["logprobs"], strict=True)]
    return aligned(writing, await encode_step(run.pair.base, writing["text"]))


def aligned(writing: Writing, encoded: Encoded) -> list[DraftedToken]:
    """Another model's tokens over the drafted ones, by the bytes of text that each stands for."""
    raw = writing["text"].encode()
    drafted = [len(writing["text"][:start].encode()) for start in writing["starts"]]
    ends = list(accumulate(encoded.widths))
    tokens, first = [], 0
    for token, width, end in zip(encoded.ids, encoded.widths, ends, strict=True):
        begin = end - width
        while first + 1 < len(drafted) and drafted[first + 1] <= begin:
            first += 1
        last = first
        while last + 1 < len(drafted) and drafted[last + 1] < end:
            last += 1
        lowest = min(writing["logprobs"][first : last + 1], default=0.0)
        tokens.append(DraftedToken(token, raw[begin:end].decode(errors="replace"), lowest))
    return tokens


async def judge_by_labels(run: Run, prompt: Sequence[int]) -> tuple[Verdict, Usage]:
    """Have base write a label behind ledger + step (`prompt`) and the judge's request (paper, section 4.1)."""
    assert run.request is not None
    readings = await run.pair.base.read([[*prompt, *run.request.suffix]])
    probs, says_label = label_distribution(readings.items[0], run.request.labels)
    decision = decide_by_labels(
        probs, run.judge.labels, says_label=says_label, method=run.judge.method, threshold=run.threshold
    )
    return _verdict(decision, readings.usage, label_probs=probs), readings.usage


async def judge_by_likelihood(
    run: Run, before: Sequence[int], tokens: Sequence[DraftedToken], *, closes: bool, closing: float | None
) -> tuple[Verdict, Usage]:
    """Ask base for its log-probability of the drafted tokens that the draft was least sure of.

    Prompts go in rising order, so that a server with one slot adds only the tokens up to the next spot. A step
    that ends the reasoning is also asked about at its end: a draft that stops too early is wrong there alone.

    Args:
        run: the run.
        before: base's ledger.
        tokens: the step as base reads it.
        closes: whether the step ends the reasoning.
        closing: the draft's log-probability of ending here, where known.
    """
    ids = [token.id for token in tokens]
    places = least_sure([token.logprob or 0.0 for token in tokens], run.judge.spots)
    asked = [tokens[place] for place in places]
    prompts = [[*before, *ids[:place]] for place in places]
    if closes:
        marker = run.closings.marker
        asked.append(DraftedToken(marker.id if marker else run.closings.end_of_turn, "", closing))
        prompts.append([*before, *ids])
    readings = await run.pair.base.read(prompts)
    spots = [_spot(token, reading) for token, reading in zip(asked, readings.items, strict=True)]
    decision = decide_by_likelihood(spots, threshold=run.threshold)
    return _verdict(decision, readings.usage, spots=spots), readings.usage


def unasked(*, reason: RejectReason | None = None) -> Verdict:
    """A verdict that needed no request: a reject with its reason, or an accept."""
    return _verdict((reason is None, None, reason), Usage(0, None, 0))


def _spot(token: DraftedToken, reading: Reading) -> Spot:
    logprob, at_most = base_logprob(reading, token.id)
    return Spot(text=token.text, draft_logprob=token.logprob, base_logprob=logprob, at_most=at_most)


def _verdict(
    decision: Decision,
    usage: Usage,
    *,
    label_probs: dict[str, float] | None = None,
    spots: list[Spot] | None = None,
) -> Verdict:
    accepted, score, reason = decision
    return Verdict(
        accepted=accepted,
        reason=reason,
        score=score,
        label_probs=label_probs,
        label_mass=None if label_probs is None else sum(label_probs.values()),
        spots=spots,
        judge_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        seconds=0.0,
    )
