"""The evidence on a drafted step, from one request to base: all its prompts go behind the same cached prefix."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from specreason_graph.contract.state import Evidence, Spot, Writing
from specreason_graph.endpoint.protocol import Encoded, Reading, Readings, Usage
from specreason_graph.generation.ledger import encode_step
from specreason_graph.judging.scoring import base_logprob, label_distribution, least_sure
from specreason_graph.loop.run import Run


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


def free_evidence(run: Run, writing: Writing, tokens: Sequence[DraftedToken]) -> Evidence:
    """What is known of a step without asking base."""
    return Evidence(
        label_probs=None,
        label_mass=None,
        says_label=None,
        spots=None,
        draft_logprobs=writing["logprobs"],
        tokens=len(tokens),
        place=len(run.steps),
        ends=writing["closes"],
        agreement=None,
    )


async def ask(run: Run, writing: Writing, tokens: Sequence[DraftedToken]) -> tuple[Evidence, Usage]:
    """Ask base all that the run's judge asks for, in one request (two with `full_likelihood`).

    Prompts go in rising order, so that a server with one slot adds only the tokens up to the next spot: ledger +
    step up to each of the draft's least sure tokens; its end, when it ends the reasoning (a draft that stops too
    early is wrong there alone); ledger + step + the judge's request (paper, section 4.1). A step without text gets
    no label.
    """
    before, step = run.ledger("base"), [token.id for token in tokens]
    spots = _spots(run, writing, tokens) if run.judge.spots else {}
    end = [token.id for at, token in spots.items() if at == len(step)]
    whole = await run.pair.base.likelihood(before.plus([*step, *end])) if spots else None
    exact = {} if whole is None else {at: whole.logprobs[len(before) + at] for at in spots}
    unread = [at for at in spots if exact.get(at) is None]
    prompts = [before.plus(step[:at]) for at in unread]
    if run.request is not None and tokens:
        prompts.append(before.plus([*step, *run.request.suffix]))
    readings = await run.pair.base.read(prompts) if prompts else Readings([], Usage(0, 0, 0))
    evidence = free_evidence(run, writing, tokens)
    if run.judge.spots:
        read = dict(zip(unread, readings.items, strict=False))
        evidence["spots"] = [_spot(token, exact.get(at), read.get(at)) for at, token in spots.items()]
    if run.request is not None and tokens:
        probs, evidence["says_label"] = label_distribution(readings.items[-1], run.request.labels)
        evidence["label_probs"], evidence["label_mass"] = probs, sum(probs.values())
    return evidence, readings.usage if whole is None else whole.usage + readings.usage


def _spots(run: Run, writing: Writing, tokens: Sequence[DraftedToken]) -> dict[int, DraftedToken]:
    """Where in the step base is asked how likely it finds what the draft wrote, in rising order."""
    places = least_sure([token.logprob or 0.0 for token in tokens], run.judge.spots)
    spots = {at: tokens[at] for at in places}
    if writing["closes"]:
        marker, closing = run.closings.marker, writing["closing"]
        end = marker.id if marker else run.closings.end_of_turn
        spots[len(tokens)] = DraftedToken(end, "", closing[1] if closing else None)
    return spots


def agreement(drafted: str, own: str) -> float | None:
    """1 when two versions of a step come to the same last number, 0 when not; None without numbers."""
    results = [re.findall(r"\d+(?:\.\d+)?", text.replace(",", "")) for text in (drafted, own)]
    return float(results[0][-1] == results[1][-1]) if all(results) else None


def _spot(token: DraftedToken, exact: float | None, reading: Reading | None) -> Spot:
    logprob, at_most = exact, False
    if logprob is None:
        assert reading is not None, "every spot is read in one way or the other"
        logprob, at_most = base_logprob(reading, token.id)
    return Spot(text=token.text, draft_logprob=token.logprob, base_logprob=logprob, at_most=at_most)
