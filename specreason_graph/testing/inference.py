"""`POST /inference/v1/generate`: ids and images in, and tokens out or the prompt's likelihood."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from specreason_graph.testing.completions import Completions
from specreason_graph.testing.fault import Fault
from specreason_graph.testing.images import Eyes, expanded
from specreason_graph.testing.model import ScriptedModel
from specreason_graph.testing.record import Record
from specreason_graph.testing.request import CompletionRequest, Refusal, parsed
from specreason_graph.testing.wire import generated, usage

INFERENCE = "/inference/v1/generate"

_NOT_COMPUTED = -0.5  # any number will do: a real engine gives rows of the cached part that mean nothing


class _Sampling(BaseModel):
    model_config = ConfigDict(extra="allow")

    max_tokens: int = 16
    prompt_logprobs: int | None = None
    detokenize: bool = True


class _Request(BaseModel):
    token_ids: list[NonNegativeInt]
    content_parts: list[dict[str, Any]] = Field(default_factory=list)
    sampling_params: _Sampling
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    output_mode: Literal["text", "tokens"] = "tokens"


async def inference(
    server: Completions, http: web.Request, record: Record, fault: Fault | None, eyes: Eyes, *, scale_out: bool
) -> web.StreamResponse:
    """Answer one request, at the server's pace.

    Raises:
        Refusal: the server was started without `--enable-scale-out`, or the request is what a real engine dies of.
    """
    if not scale_out:
        raise Refusal("This endpoint needs --enable-scale-out", status=403, kind="PermissionDeniedError")
    request = parsed(_Request, record.body)
    prompt = list(expanded(server.model.tokenizer, request.token_ids, eyes.look(request.content_parts)))
    record.prompts = [[read for _, read in prompt]]
    if request.sampling_params.prompt_logprobs is not None:
        return web.json_response(await _likelihood(server, record, request, [token for token, _ in prompt]))
    sampling = request.sampling_params.model_dump()
    asked = {
        **(sampling if fault is None else fault.read(sampling)),
        "prompt": record.prompts[0],
        "stream": request.stream,
        "stream_options": request.stream_options,
    }
    return await server.serve(http, record, parsed(CompletionRequest, asked), fault, generated(request.output_mode))


async def _likelihood(server: Completions, record: Record, request: _Request, ids: list[int]) -> dict[str, Any]:
    if request.sampling_params.detokenize:
        raise Refusal("EngineCore encountered an issue", status=500, kind="InternalServerError")
    [prompt] = record.prompts
    sequence, size = server.cache.open(prompt), len(prompt)
    with closing(server.pace.begin(size - sequence.hit, 1, place=size, ago=time.time() - record.began)) as schedule:
        await schedule.until(0, last=0)
    record.cached_tokens, record.tokens, record.complete = sequence.hit, 1, True
    counts = usage(size, 1, sequence.hit if server.reports_cached else None)
    rows = _rows(server.model, prompt, sequence.hit, request.sampling_params.prompt_logprobs or 0)
    for row, token, read in zip(rows[1:], ids[1:], prompt[1:], strict=True):
        if row is not None and token != read:
            row[str(token)] = row.pop(str(read))
    return {
        "request_id": f"gen-{server.served}",
        "choices": [{"index": 0, "finish_reason": "length"}],
        "prompt_logprobs": rows,
        "prompt_token_ids": ids,
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
