"""The dialect of llama.cpp's server: its native `/completion`, since `/v1/completions` drops ids of long characters."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import ConfigError, NoLogprobs, TruncatedResponse
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.protocol import (
    FREE,
    ChatMessage,
    Chunk,
    Encoded,
    End,
    Ending,
    Form,
    Marker,
    ModelCard,
    Reading,
    Readings,
    Rendered,
    Sampling,
    Usage,
)
from specreason_graph.endpoint.slots import Slots


@dataclass(slots=True)
class _Held:
    """Tokens that the server has told, but not yet the text of."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    count: int = 0


class LlamaCppEndpoint:
    """A llama.cpp server (see `protocol.Endpoint` for what each method promises)."""

    def __init__(self, role: str, config: EndpointConfig) -> None:
        self._http = Http(role, config)
        self._wanted = config.model
        self._card: ModelCard | None = None
        self._slots = Slots(1)

    @property
    def name(self) -> str:
        """Role and address, for messages."""
        return self._http.name

    async def pinned(self, session: str) -> LlamaCppEndpoint:
        """A view that sends the session's header; the slots are those of all runs."""
        await self.card()  # what is known is copied, so it is asked for before
        view = copy(self)
        view._http = self._http.pinned(session)
        return view

    async def card(self) -> ModelCard:
        """The served model; the context is that of one slot.

        Raises:
            ConfigError: the configured model is not served here.
        """
        if self._card is None:
            with self._http.shape("/v1/models or /props"):
                served = (await self._http.get("/v1/models"))["data"][0]["id"]
                props = await self._http.get("/props")
                context, self._slots = props["default_generation_settings"]["n_ctx"], Slots(props["total_slots"])
            if self._wanted not in (None, served):
                raise ConfigError(f"{self.name} serves {served}, not model {self._wanted!r}")
            self._card = ModelCard(served, context)
        return self._card

    async def render(self, messages: Sequence[ChatMessage], template: Mapping[str, Any]) -> Rendered:
        """`/apply-template`, which strips the BOS token, then `/tokenize`, which is asked to add it."""
        body = {
            "messages": list(messages),
            "add_generation_prompt": True,
            "chat_template_kwargs": dict(template),
        }
        with self._http.shape("/apply-template or /tokenize"):
            text = (await self._http.post("/apply-template", body))["prompt"]
            tokens = await self._http.post("/tokenize", {"content": text, "add_special": True, "parse_special": True})
            return Rendered(text, tokens["tokens"])

    async def encode(self, text: str, *, control: bool = False) -> Encoded:
        """`/tokenize` with the bytes of each piece."""
        body = {"content": text, "add_special": False, "parse_special": control, "with_pieces": True}
        with self._http.shape("/tokenize"):
            tokens = (await self._http.post("/tokenize", body))["tokens"]
            widths = [len(t["piece"].encode() if isinstance(t["piece"], str) else t["piece"]) for t in tokens]
            return Encoded([token["id"] for token in tokens], widths)

    async def decode(self, ids: Sequence[int]) -> str:
        """`POST /detokenize`."""
        answer = await self._http.post("/detokenize", {"tokens": list(ids)})
        with self._http.shape("/detokenize"):
            return str(answer["content"])

    @property
    def runs_on(self) -> bool:
        """Its slots share no prefix, so a generation beside another one would read the whole prompt anew."""
        return False

    async def generate(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        sampling: Sampling,
        boundary: str | None = None,
        close: Marker | None = None,
        form: Form = FREE,
    ) -> AsyncGenerator[Chunk, None]:
        """A streamed `/completion`; ids that the stream leaves out are encoded anew from the text they made."""
        body = {
            "prompt": prompt,
            "n_predict": max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": 0,  # off, like min_p: the server's defaults are not what was asked for
            "min_p": 0.0,
            "seed": sampling.seed,
            "stop": [*([boundary] if boundary else form.stop), *([close.text] if close else [])],
            "n_probs": 1,
            "return_tokens": True,
            "cache_prompt": True,
            "stream": True,
        }
        if form.schema is not None:
            body["json_schema"] = form.schema
        held, told, last = _Held(), 0, None
        with await self._slot(prompt) as slot:
            async with aclosing(self._http.events("/completion", body | {"id_slot": slot})) as events:
                async for event in events:
                    if event.get("stop"):
                        last = event
                        continue  # to the end: a connection whose answer was not read can't be used again
                    with self._http.shape("/completion"):
                        held.ids += event["tokens"]
                        held.logprobs += [p["logprob"] for p in self._probabilities(event)]
                        held.count += event["tokens_predicted"] - told
                        told, text = event["tokens_predicted"], event["content"]
                    if text:
                        yield await self._chunk(text, held)
                        held = _Held()
        if last is None:
            raise TruncatedResponse(f"{self.name}: a stream ended before its last event")
        with self._http.shape("/completion"):
            whole = await self._last(last, held, boundary, close)
        yield whole

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """One `/completion` with every prompt, one token each."""
        body = {"prompt": prompts, "n_predict": 1, "temperature": 0, "n_probs": top, "cache_prompt": True}
        with await self._slot(prompts[-1]) as slot:
            answer = await self._http.post("/completion", body | {"id_slot": slot})
        with self._http.shape("/completion"):
            results = sorted(answer if isinstance(answer, list) else [answer], key=lambda result: int(result["index"]))
            first = [self._probabilities(result)[0] for result in results]
            items = [Reading(p["id"], {t["id"]: t["logprob"] for t in p["top_logprobs"]}) for p in first]
            usages = [_usage(result) for result in results]
        if len(items) != len(prompts):
            raise self._http.malformed(f"{len(items)} answers to {len(prompts)} prompts")
        cached = [usage.cached_tokens for usage in usages if usage.cached_tokens is not None]
        total = Usage(
            sum(usage.prompt_tokens for usage in usages),
            sum(cached) if len(cached) == len(usages) else None,
            sum(usage.completion_tokens for usage in usages),
        )
        return Readings(items, total)

    async def likelihood(self, prompt: Sequence[int]) -> None:
        """llama.cpp's server gives no log-probabilities of a prompt."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _slot(self, prompt: Sequence[int]) -> AbstractContextManager[int]:
        await self.card()
        return self._slots.one_for(prompt)

    async def _chunk(self, text: str, held: _Held) -> Chunk:
        if held.count == len(held.ids):
            return Chunk(text, held.ids, held.logprobs)
        ids = (await self.encode(text)).ids  # a character of several tokens: the stream has the last one's id only
        return Chunk(text, ids, [min(held.logprobs, default=0.0)] * len(ids))

    async def _last(self, event: dict[str, Any], held: _Held, boundary: str | None, close: Marker | None) -> Chunk:
        usage, kind, word = _usage(event), event.get("stop_type"), event.get("stopping_word")
        if kind == "limit":
            return Chunk("", held.ids, held.logprobs, End("length", usage))
        if kind == "word" and word == boundary:
            chunk = await self._chunk(event["content"] + word, held)
            return Chunk(chunk.text, chunk.ids, chunk.logprobs, End("boundary", usage))
        if kind == "word" and close is None:
            return Chunk(event["content"], held.ids, held.logprobs, End("boundary", usage))
        if kind not in ("eos", "word"):
            raise self._http.malformed(f"a generation ended for an unknown reason ({kind})")
        closing = (held.ids.pop(), held.logprobs.pop()) if held.ids else None
        why: Ending = "close" if close is not None and kind == "word" else "end_of_turn"
        return Chunk(event["content"], held.ids, held.logprobs, End(why, usage, closing))

    def _probabilities(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] | None = event.get("completion_probabilities")
        if found is None:
            raise NoLogprobs(f"{self.name} gives no log-probabilities: is it llama.cpp's own server?")
        return found


def _usage(event: dict[str, Any]) -> Usage:
    cached = event.get("timings", {}).get("cache_n")
    return Usage(event["tokens_evaluated"], cached, event["tokens_predicted"])
