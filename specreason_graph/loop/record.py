"""What a run leaves behind of every kept step."""

from __future__ import annotations

from specreason_graph.contract.state import Evidence, Pending, Source, Step, Verdict, Writing
from specreason_graph.generation.ledger import encode_step
from specreason_graph.loop.run import Run


async def ids_of(run: Run, text: str, base: list[int]) -> dict[str, list[int]]:
    """A step that the draft did not write, as the ledgers hold it; `base` are its ids there."""
    if run.same_tokenizer:
        return {"base": base}
    return {"base": base, "draft": (await encode_step(run.pair.draft, text)).ids}


def accepted_step(run: Run, pending: Pending, ids: dict[str, list[int]]) -> Step:
    """A drafted step that the judge let pass."""
    drafted = pending["writing"]
    return _step(run, "draft", drafted["text"], pending, ids, cut=drafted["cut"], closes=drafted["closes"])


def base_step(run: Run, writing: Writing, rejected: Pending | None, ids: dict[str, list[int]]) -> Step:
    """A step that base wrote: in the place of a rejected one, or unasked."""
    step = _step(run, "base", writing["text"], rejected, ids, cut=writing["cut"], closes=writing["closes"])
    step["base_tokens"] = len(writing["ids"])
    step["seconds"]["regenerate"], step["cached_tokens"]["regenerate"] = writing["seconds"], writing["cached_tokens"]
    return step


def human_step(
    run: Run, text: str, before: str, rejected: Pending | None, ids: dict[str, list[int]], *, closes: bool
) -> Step:
    """A step that a person wrote in the place of one that read `before`."""
    step = _step(run, "human", text, rejected, ids, cut=False, closes=closes)
    step["rejected_text"], step["human"] = before, "edit"
    if rejected:
        step["accepted"], step["reject_reason"] = False, "human"
    return step


def _step(
    run: Run, source: Source, text: str, drafted: Pending | None, ids: dict[str, list[int]], *, cut: bool, closes: bool
) -> Step:
    verdict = drafted["verdict"] if drafted else None
    seconds: dict[str, float] = {}
    cached: dict[str, int | None] = {}
    if drafted:
        writing = drafted["writing"]
        seconds["draft_step"], cached["draft_step"] = writing["seconds"], writing["cached_tokens"]
    if verdict:
        seconds["judge"], cached["judge"] = verdict["seconds"], verdict["cached_tokens"]
    draft_tokens = len(drafted["writing"]["ids"]) if drafted else 0
    return Step(
        index=len(run.steps),
        text=text,
        source=source,
        accepted=verdict["accepted"] if verdict else None,
        reject_reason=verdict["reason"] if verdict else None,
        rejected_text=drafted["writing"]["text"] if drafted and source != "draft" else None,
        score=verdict["score"] if verdict else None,
        threshold=run.policy.threshold,
        human=verdict["human"] if verdict else None,
        **_evidence(verdict, place=len(run.steps)),
        cut=cut,
        closes=closes,
        draft_tokens=draft_tokens,
        discarded_tokens=0 if source == "draft" else draft_tokens,
        base_tokens=0,
        judge_tokens=verdict["judge_tokens"] if verdict else 0,
        cached_tokens=cached,
        seconds=seconds,
        ids=ids,
    )


def _evidence(verdict: Verdict | None, *, place: int) -> Evidence:
    """The evidence alone, without what was made of it; empty where nothing was drafted."""
    return Evidence(
        label_probs=verdict["label_probs"] if verdict else None,
        label_mass=verdict["label_mass"] if verdict else None,
        says_label=verdict["says_label"] if verdict else None,
        spots=verdict["spots"] if verdict else None,
        draft_logprobs=verdict["draft_logprobs"] if verdict else [],
        tokens=verdict["tokens"] if verdict else 0,
        place=place,
        ends=verdict["ends"] if verdict else False,
        agreement=verdict["agreement"] if verdict else None,
    )
