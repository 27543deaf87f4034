"""A scripted model behind the HTTP dialect of vLLM 0.32, on a loopback port of this process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from pydantic import SecretStr

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.testing.completions import Completions
from specreason_graph.testing.events import EventSizes
from specreason_graph.testing.fault import Fault
from specreason_graph.testing.images import Eyes
from specreason_graph.testing.inference import INFERENCE, inference
from specreason_graph.testing.metrics import metrics
from specreason_graph.testing.model import ScriptedModel
from specreason_graph.testing.pace import Pace, ServerPace
from specreason_graph.testing.planned import Plan
from specreason_graph.testing.prefix_cache import PrefixCache
from specreason_graph.testing.record import Record
from specreason_graph.testing.request import Refusal
from specreason_graph.testing.script import Script
from specreason_graph.testing.template import TemplateName
from specreason_graph.testing.tokenization import detokenized, tokenized
from specreason_graph.testing.tokenizer import TokenizerName
from specreason_graph.testing.tokenizer import tokenizer as built_tokenizer

COMPLETIONS = "/v1/completions"


class ScriptedServer:
    """Use it as an async context manager: it listens inside, and its records can be read afterwards.

    Sampling settings and seeds are recorded, but change nothing of what it says.

    Example:
        async with ScriptedServer(Script(["3 + 4 = 7."]), template="think") as server:
            endpoint = connect("base", server.config)

    Args:
        script: what the model says.
        tokenizer: which of the two tokenizers it has.
        template: its chat template, which also says whether it is a thinking or an instruct model.
        knows_tools: whether the template knows tools, as Qwen's do; others pass over tools and calls, and write a
            tool's result as a turn of the role `tool`.
        context: tokens of prompt and output together.
        model: its name.
        api_key: what clients must send as a bearer token under `/v1`; None lets all in.
        pace: how fast it answers, a `Pace` or an `Engine`; None is at once.
        cache_blocks: blocks of 16 tokens that its prefix cache holds; 0 turns caching off.
        reports_cached: whether usage tells of cached tokens (vLLM's `--enable-prompt-tokens-details`).
        max_logprobs: how many log-probabilities a token may be asked for.
        bos: whether texts begin with a BOS token.
        version: which vLLM it says it is.
        scale_out: whether it serves `/inference/v1/generate` (vLLM's `--enable-scale-out`).
        sees: whether its model takes images, each of which has one token for 28 by 28 pixels; tokenizer `a` has the
            placeholder. Scripts are told a question with the image's own hexadecimal digits in its place.
        tokens_per_event: most tokens that a stream sends in one event; 0 draws a number from 1 to 8 for each event.
        event_seed: what these numbers are drawn from, beside a request's own seed and its prompts' lengths.
        decodes: tokens that it proposes to itself a pass, all of them right: `/metrics` counts that as vLLM does where
            it decodes speculatively; 0 does not. What is sent, and when, is not changed by it.

    Raises:
        ValueError: `tokens_per_event` is negative.
    """

    def __init__(
        self,
        script: Script,
        *,
        tokenizer: TokenizerName = "a",
        template: TemplateName = "instruct",
        knows_tools: bool = True,
        context: int = 4096,
        model: str = "scripted",
        api_key: str | None = None,
        pace: ServerPace | None = None,
        cache_blocks: int = 4096,
        reports_cached: bool = True,
        max_logprobs: int = 20,
        bos: bool = False,
        version: str = "0.32.0",
        scale_out: bool = False,
        sees: bool = False,
        tokens_per_event: int = 1,
        event_seed: int = 0,
        decodes: int = 0,
    ) -> None:
        self.model = ScriptedModel(built_tokenizer(tokenizer, bos=bos), template, script, knows_tools=knows_tools)
        self.requests: list[Record] = []
        """Every request, in the order they came."""
        self.url = ""
        """Address of the server; after the end of the context nothing answers there."""
        self.running = 0
        """Generations that are being answered now, on either path."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._peers: set[Any] = set()
        self._key = api_key
        self._version = version
        self._scale_out = scale_out
        self._sees = sees
        self.eyes = Eyes()
        """The images that it was shown."""
        self._decodes = decodes
        self._faults = Plan[Fault]()
        self._completions = Completions(
            self.model,
            model,
            context,
            pace or Pace(),
            PrefixCache(cache_blocks),
            reports_cached,
            max_logprobs,
            EventSizes(tokens_per_event, event_seed),
        )

    @property
    def config(self) -> EndpointConfig:
        """How a client reaches this server."""
        key = None if self._key is None else SecretStr(self._key)
        return EndpointConfig(
            base_url=self.url, model=self._completions.name, api_key=key, full_likelihood=self._scale_out
        )

    @property
    def completions(self) -> list[Record]:
        """The completions requests alone."""
        return [record for record in self.requests if record.path == COMPLETIONS]

    @property
    def connections(self) -> int:
        """Connections that clients have opened so far."""
        return len(self._peers)

    def queueing(self, requests: int) -> None:
        """Say from now on that so many requests wait."""
        self._completions.waiting = requests

    async def idle(self) -> None:
        """Wait until no generation is being answered."""
        await self._idle.wait()

    def fail(self, fault: Fault, *, path: str | None = COMPLETIONS, times: int | None = 1) -> None:
        """Meet coming requests with a fault; faults of a path take their turns in the order they were planned.

        Args:
            fault: what goes wrong.
            path: of requests to this path; None is any.
            times: how often; None is always.
        """
        self._faults.add(fault, path, times)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**28)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A generation stops with its client; idle connections are dropped after as long as vLLM keeps them.
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, keepalive_timeout=5.0, shutdown_timeout=0.0
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _handle(self, http: web.Request) -> web.StreamResponse:
        began = time.time()
        raw = await http.read()
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return _refused(Refusal("1 validation error:\n  JSON decode error", kind="Bad Request"))
        self._peers.add(http.transport and http.transport.get_extra_info("peername"))
        record = Record(http.path, body, len(raw), began, session=http.headers.get("X-Session-ID"))
        self.requests.append(record)
        with self._counted(record):
            try:
                return await self._answer(http, record)
            except Refusal as refusal:
                return _refused(refusal)
            except asyncio.CancelledError:
                record.aborted = not record.complete
                raise
            except ConnectionError:  # noticed in writing to it
                record.aborted = not record.complete
                return web.Response()

    @contextmanager
    def _counted(self, record: Record) -> Iterator[None]:
        counts = record.path in (COMPLETIONS, INFERENCE)
        self.running += counts
        if counts:
            self._idle.clear()
        try:
            yield
        finally:
            record.ended = time.time()
            self.running -= counts
            if not self.running:
                self._idle.set()

    async def _answer(self, http: web.Request, record: Record) -> web.StreamResponse:
        if http.path.startswith("/v1") and self._key and http.headers.get("Authorization") != f"Bearer {self._key}":
            return web.json_response({"error": "Unauthorized"}, status=401)
        fault = self._faults.next(http.path)
        if fault is not None and fault.strikes_at_once:
            return await fault.strike(http)
        self._completions.check_model(record.body)
        match http.method, http.path:
            case "GET", "/health":
                return web.Response()
            case "GET", "/version":
                return web.json_response({"version": self._version})
            case "GET", "/metrics":
                return web.Response(text=metrics(self.completions, self._decodes))
            case "GET", "/v1/models":
                return web.json_response(self._completions.models)
            case "POST", "/tokenize":
                answer = tokenized(self.model, self._completions.context, record.body, sees=self._sees)
                return web.json_response(answer if fault is None else fault.changed(answer))
            case "POST", "/detokenize":
                return web.json_response(detokenized(self.model, record.body))
            case "POST", path if path == COMPLETIONS:
                return await self._completions.answer(http, record, fault)
            case "POST", path if path == INFERENCE:
                return await inference(self._completions, http, record, fault, self.eyes, scale_out=self._scale_out)
        return web.json_response({"detail": "Not Found"}, status=404)


def _refused(refusal: Refusal) -> web.Response:
    return web.json_response(refusal.document, status=refusal.status)
