"""The evidence on a drafted step, from one request to base: all its prompts go behind the same cached prefix."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, takewhile
from typing import NamedTuple

from specreason_graph.contract.evidence import Evidence, Spot
from specreason_graph.contract.state import WrittenStep
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.protocol import Encoded, Endpoint, Reading, Readings, Usage
from specreason_graph.generation.ledger import encode_step
from specreason_graph.judging.scoring import base_logprob, label_distribution, least_sure, likeliest_but
from specreason_graph.models.judge_request import JudgeRequest
from specreason_graph.models.presets import Judge


class DraftedToken(NamedTuple):
    """A token of the drafted step in base's vocabulary, and how sure the draft was of it."""

    id: int
    text: str
    logprob: float | None


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What base is asked about a step, and behind what."""

    base: Endpoint
    before: Ids
    """Base's ledger."""
    place: int
    """Which step of the reasoning it would be, from 0."""
    judge: Judge
    request: JudgeRequest | None
    """The judge's request in base's tokens, if it asks for labels."""
    ends: Mapping[str | None, int]
    """The token of base that ends the reasoning, by what `WrittenStep.ended_with` says."""


async def as_base_reads(base: Endpoint, step: WrittenStep, *, same_tokenizer: bool) -> list[DraftedToken]:
    """The drafted step token by token as base reads it, `closing` left out.

    With two tokenizers a base token gets the lowest log-probability of the drafted tokens that it overlaps.
    """
    if same_tokenizer:
        pieces = [step["text"][a:b] for a, b in pairwise([*step["starts"], len(step["text"])])]
        return [DraftedToken(*token) for token in zip(step["ids"], pieces, step["logprobs"], strict=True)]
    return aligned(step, await encode_step(base, step["text"]))


def aligned(step: WrittenStep, encoded: Encoded) -> list[DraftedToken]:
    """Another model's tokens over the drafted ones, by the characters of text that they share."""
    starts = [*step["starts"], len(step["text"])]
    drafted = _spans([after - start for start, after in pairwise(starts)])
    tokens, first = [], 0
    for token, text, (begin, end) in zip(
        encoded.ids, encoded.texts, _spans([len(text) for text in encoded.texts]), strict=True
    ):
        while first + 1 < len(drafted) and drafted[first][1] <= begin:
            first += 1
        under = takewhile(lambda at: drafted[at][0] < end, range(first, len(drafted)))  # noqa: B023  # used at once
        tokens.append(DraftedToken(token, text, min((step["logprobs"][at] for at in under), default=0.0)))
    return tokens


def _spans(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Where tokens begin and end, in characters; one that ends inside a character has a part in that character."""
    ends = list(accumulate(lengths))
    return [(end - length, end if length else end + 1) for length, end in zip(lengths, ends, strict=True)]


def free_evidence(step: WrittenStep, tokens: Sequence[DraftedToken], place: int) -> Evidence:
    """What is known of a step without asking base."""
    return Evidence(
        label_probs=None,
        label_mass=None,
        says_label=None,
        spots=None,
        unasked=None,
        draft_logprobs=step["logprobs"],
        tokens=len(tokens),
        place=place,
        ends=step["closes"],
        agreement=None,
    )


async def ask(inquiry: Inquiry, step: WrittenStep, tokens: Sequence[DraftedToken]) -> tuple[Evidence, Usage]:
    """Ask base all that the judge asks for, in one request (two with `full_likelihood`).

    Prompts go in rising order, so that a server with one slot adds only the tokens up to the next spot: ledger +
    step up to each of the draft's least sure tokens; its end, when it ends the reasoning (a draft that stops too
    early is wrong there alone); ledger + step + the judge's request (paper, section 4.1). A step without text gets
    no label: there, every judge asks how likely the end is.
    """
    base, before, ids = inquiry.base, inquiry.before, [token.id for token in tokens]
    spots = _spots(inquiry, step, tokens)
    end = [token.id for at, token in spots.items() if at == len(ids)]
    whole = await base.likelihood(before.plus([*ids, *end])) if spots else None
    found = {} if whole is None else {at: whole.readings[len(before) + at] for at in spots}
    unread = [at for at in spots if found.get(at) is None]
    prompts = [before.plus(ids[:at]) for at in unread]
    if inquiry.request is not None and tokens:
        prompts.append(before.plus([*ids, *inquiry.request.suffix]))
    readings = await base.read(prompts) if prompts else Readings([], Usage())
    evidence = free_evidence(step, tokens, inquiry.place)
    if inquiry.judge.spots or spots:
        found |= zip(unread, readings.items, strict=False)
        starts = [0, *accumulate(len(token.text) for token in tokens)]
        evidence["spots"] = [_spot(at, starts[at], token, found[at]) for at, token in spots.items()]
        evidence["unasked"] = min(
            (token.logprob or 0.0 for at, token in enumerate(tokens) if at not in spots), default=None
        )
    if inquiry.request is not None and tokens:
        probs, evidence["says_label"] = label_distribution(readings.items[-1], inquiry.request.labels)
        evidence["label_probs"], evidence["label_mass"] = probs, sum(probs.values())
    return evidence, readings.usage if whole is None else whole.usage + readings.usage


def _spots(inquiry: Inquiry, step: WrittenStep, tokens: Sequence[DraftedToken]) -> dict[int, DraftedToken]:
    """Where in the step base is asked how likely it finds what the draft wrote, in rising order."""
    judge = inquiry.judge
    places = least_sure([token.logprob or 0.0 for token in tokens], judge.spots, judge.sure)
    spots = {at: tokens[at] for at in places}
    if step["closes"] and (judge.spots or not tokens):
        closing, ends = step["closing"], inquiry.ends
        end = ends.get(step["ended_with"], ends[None])  # a call that may not be made any more is an end like others
        spots[len(tokens)] = DraftedToken(end, "", closing[1] if closing else None)
    return spots


def agreement(drafted: str, own: str) -> float | None:
    """1 when two versions of a step come to the same last number, 0 when not; None without numbers."""
    results = [re.findall(r"\d+(?:\.\d+)?", text.replace(",", "")) for text in (drafted, own)]
    return float(results[0][-1] == results[1][-1]) if all(results) else None


def _spot(place: int, start: int, token: DraftedToken, reading: Reading | None) -> Spot:
    assert reading is not None, "every spot is read in one way or the other"
    logprob, at_most = base_logprob(reading, token.id)
    other = likeliest_but(reading, token.id)
    return Spot(
        text=token.text,
        place=place,
        draft_logprob=token.logprob,
        base_logprob=logprob,
        at_most=at_most,
        alternative=other and other[0],
        lead=other and other[1] - logprob,
        start=start,
    )
