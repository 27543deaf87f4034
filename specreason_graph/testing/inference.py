"""`POST /inference/v1/generate`, as far as reading a prompt's likelihood goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from pydantic import BaseModel, NonNegativeInt

from specreason_graph.testing.completions import Completions
from specreason_graph.testing.model import ScriptedModel
from specreason_graph.testing.record import Record
from specreason_graph.testing.request import Refusal, parsed
from specreason_graph.testing.wire import usage

INFERENCE = "/inference/v1/generate"

_NOT_COMPUTED = -0.5  # any number will do: a real engine gives rows of the cached part that mean nothing


class _Sampling(BaseModel):
    max_tokens: int = 16
    prompt_logprobs: int | None = None
    detokenize: bool = True


class _Request(BaseModel):
    token_ids: list[NonNegativeInt]
    sampling_params: _Sampling


async def inference(server: Completions, record: Record, *, scale_out: bool) -> dict[str, Any]:
    """Answer one request, at the server's pace.

    Raises:
        Refusal: the server was started without `--enable-scale-out`, or the request is what a real engine dies of.
    """
    if not scale_out:
        raise Refusal("This endpoint needs --enable-scale-out", status=403, kind="PermissionDeniedError")
    request = parsed(_Request, record.body)
    if request.sampling_params.detokenize:
        raise Refusal("EngineCore encountered an issue", status=500, kind="InternalServerError")
    record.prompts = [request.token_ids]
    sequence = server.cache.open(request.token_ids)
    size = len(request.token_ids)
    with closing(server.pace.begin(size - sequence.hit, 1, place=size, ago=time.time() - record.began)) as schedule:
        await schedule.until(0, last=0)
    record.cached_tokens, record.tokens, record.complete = sequence.hit, 1, True
    counts = usage(size, 1, sequence.hit if server.reports_cached else None)
    return {
        "request_id": f"gen-{server.served}",
        "choices": [{"index": 0, "finish_reason": "length"}],
        "prompt_logprobs": _rows(
            server.model, request.token_ids, sequence.hit, request.sampling_params.prompt_logprobs or 0
        ),
        "usage": counts,
    }


def _rows(model: ScriptedModel, prompt: Sequence[int], hit: int, top: int) -> list[dict[str, Any] | None]:
    rows: list[dict[str, Any] | None] = [None]
    speech = None
    for at in range(1, len(prompt)):
        told = {prompt[at]: _NOT_COMPUTED}
        if at > hit:
            speech = speech or model.speak(prompt[:at])
            token, odds = next(speech)
            told = {one: odds.logprob(one) for one in (prompt[at], *odds.top(top))}
            speech = speech if token == prompt[at] else None  # it goes on as it would have behind this token
        rows.append({str(one): {"logprob": logprob, "decoded_token": None} for one, logprob in told.items()})
    return rows
