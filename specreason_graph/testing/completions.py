"""Completions: streamed or whole, one prompt or several, at a pace; and how `POST /v1/completions` words them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from specreason_graph.testing.events import EventSizes, joined
from specreason_graph.testing.fault import Fault
from specreason_graph.testing.generation import Token, generate
from specreason_graph.testing.model import ScriptedModel
from specreason_graph.testing.pace import ServerPace
from specreason_graph.testing.prefix_cache import CachedSequence, PrefixCache
from specreason_graph.testing.record import Record
from specreason_graph.testing.request import CompletionRequest, Refusal, check, parsed
from specreason_graph.testing.wire import COMPLETION, Wire, event, usage

_ASKS, _SAYS = "endpoint-load-metrics-format", "endpoint-load-metrics"


@dataclass(slots=True)
class Completions:
    """Answers completions requests of one server."""

    model: ScriptedModel
    name: str
    context: int
    pace: ServerPace
    cache: PrefixCache
    reports_cached: bool
    max_logprobs: int
    event_sizes: EventSizes
    served: int = 0
    waiting: int = 0
    """Requests that the server says wait in it."""

    @property
    def models(self) -> dict[str, Any]:
        """What `GET /v1/models` lists."""
        card = {"id": self.name, "object": "model", "owned_by": "vllm", "max_model_len": self.context}
        return {"object": "list", "data": [card]}

    def check_model(self, body: dict[str, Any]) -> None:
        """Look at which model a request wants.

        Raises:
            Refusal: another one than is served.
        """
        if body.get("model") not in (None, "", self.name):
            said = f"The model `{body['model']}` does not exist. Valid aliases: {self.name}."
            raise Refusal(said, status=404, kind="NotFoundError", param="model")

    async def answer(self, http: web.Request, record: Record, fault: Fault | None) -> web.StreamResponse:
        """Answer one request of `/v1/completions`.

        Raises:
            Refusal: it can't be served.
        """
        request = parsed(CompletionRequest, record.body if fault is None else fault.read(record.body))
        record.prompts = request.prompts(self.model.tokenizer)
        return await self.serve(http, record, request, fault, COMPLETION)

    async def serve(
        self, http: web.Request, record: Record, request: CompletionRequest, fault: Fault | None, wire: Wire
    ) -> web.StreamResponse:
        """Answer a request for what comes behind the record's prompts, worded as a path has it.

        Raises:
            Refusal: it can't be served.
        """
        job = self._job(record, request, fault, wire)
        return await (self._stream(http, job) if request.stream else self._whole(http, job))

    def _job(self, record: Record, request: CompletionRequest, fault: Fault | None, wire: Wire) -> _Job:
        tokenizer = self.model.tokenizer
        check(
            request,
            record.prompts,
            context=self.context,
            vocabulary=len(tokenizer.spelling),
            max_logprobs=self.max_logprobs,
        )
        sequences = [self.cache.open(prompt) for prompt in record.prompts]
        record.cached_tokens = sum(sequence.hit for sequence in sequences)
        self.served += 1
        return _Job(request, record, sequences, self.served, fault, wire)

    async def _whole(self, http: web.Request, job: _Job) -> web.Response:
        tokens: list[list[Token]] = [[] for _ in job.sequences]
        async with aclosing(self._tokens(job)) as made:
            async for index, token in made:
                tokens[index].append(token)
        job.record.complete = True
        choices = [job.wire.choice(self.model.tokenizer, job.request, index, all_) for index, all_ in enumerate(tokens)]
        # Of several prompts, vLLM counts all tokens but the cached ones of the last only.
        counts = self._usage(job, cached_tokens=job.sequences[-1].hit)
        headers = {} if http.headers.get(_ASKS) != "JSON" else {_SAYS: f"JSON {json.dumps(self._load)}"}
        return web.json_response(self._document(job, choices, counts), headers=headers)

    @property
    def _load(self) -> dict[str, Any]:
        """As vLLM tells it on answers that are no streams."""
        return {"named_metrics": {"kv_cache_usage_perc": 0.0, "num_requests_waiting": float(self.waiting)}}

    async def _stream(self, http: web.Request, job: _Job) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
        await response.prepare(http)
        ending = None if job.fault is None or job.fault.odd else job.fault
        limit = None if ending is None else ending.after or 0
        sizes = self.event_sizes.of(job.request.seed, job.record.prompts)
        async with aclosing(joined(self._tokens(job), sizes, limit=limit)) as events:
            async for index, tokens in events:
                chunk = job.wire.choice(self.model.tokenizer, job.request, index, tokens)
                await response.write(event(self._document(job, [chunk])))
        if ending is not None:
            await ending.strike_stream(http, response)
            return response
        job.record.complete = True
        options = job.request.stream_options
        if options is not None and options.include_usage:
            counts = self._usage(job, cached_tokens=job.sequences[0].hit)
            await response.write(event(self._document(job, [], counts)))
            await asyncio.sleep(0)  # a client sees one before the other, as it does on a network
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _tokens(self, job: _Job) -> AsyncGenerator[tuple[int, Token], None]:
        """Tokens of all prompts, generated side by side as in a batch."""
        record = job.record
        uncached = sum(map(len, record.prompts)) - record.cached_tokens
        runs = {
            index: generate(self.model, job.request, prompt, context=self.context)
            for index, prompt in enumerate(record.prompts)
        }
        number, ahead = 0, list[list[tuple[int, Token]]]()
        place, ago = len(record.prompts[0]), time.time() - record.began
        with closing(self.pace.begin(uncached, len(runs), place=place, ago=ago)) as schedule:
            while runs or ahead:
                while runs and len(ahead) < self.pace.at_once:
                    ahead.append([(index, next(run)) for index, run in runs.items()])
                    runs = {index: runs[index] for index, token in ahead[-1] if not token.finish}
                await schedule.until(number, last=None if runs else number + len(ahead) - 1)
                for index, token in ahead.pop(0):
                    job.sequences[index].extend(token.id)
                    record.tokens += 1
                    yield index, token
                number += 1

    def _document(
        self, job: _Job, choices: list[dict[str, Any]], counts: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        answer = job.wire.document(self.name, job.number, choices, counts)
        return answer if job.fault is None else job.fault.changed(answer)

    def _usage(self, job: _Job, *, cached_tokens: int) -> dict[str, Any]:
        prompt_tokens = sum(map(len, job.record.prompts))
        return usage(prompt_tokens, job.record.tokens, cached_tokens if self.reports_cached else None)


@dataclass(frozen=True, slots=True)
class _Job:
    """A request that is being answered."""

    request: CompletionRequest
    record: Record
    sequences: list[CachedSequence]
    number: int
    fault: Fault | None
    wire: Wire
