"""The dialect of llama.cpp's server: its native `/completion`, since `/v1/completions` drops ids of long characters."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import ConfigError, NoLogprobs, TruncatedResponse
from specreason_graph.endpoint.completions import number
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.memo import Memo
from specreason_graph.endpoint.protocol import (
    FREE,
    ChatMessage,
    Encoded,
    End,
    Form,
    Marker,
    ModelCard,
    Reading,
    Readings,
    Sampling,
    Token,
    Usage,
)
from specreason_graph.endpoint.slots import Slots
from specreason_graph.endpoint.spelling import Speech, Spelling, sliced


@dataclass(slots=True)
class _Held:
    """Tokens that the server has told, but not yet the text of."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    count: int = 0


_FORCE = 1000.0  # logits; no model's come near


class LlamaCppEndpoint:
    """A llama.cpp server (see `protocol.Endpoint` for what each method promises)."""

    def __init__(self, role: str, config: EndpointConfig) -> None:
        self._http = Http(role, config)
        self._wanted = config.model
        self._served: Memo[str | None, tuple[ModelCard, Slots]] = Memo()
        self._spelling = Spelling(self._ids, self.decode)

    @property
    def name(self) -> str:
        """Role and address, for messages."""
        return self._http.name

    def pinned(self, session: str) -> LlamaCppEndpoint:
        """A view that sends the session's header; the slots are those of all runs."""
        view = copy(self)
        view._http = self._http.pinned(session)
        return view

    async def card(self) -> ModelCard:
        """The served model; the context is that of one slot.

        Raises:
            ConfigError: the configured model is not served here.
        """
        return (await self._served.get(self._wanted, self._asked))[0]

    async def _asked(self) -> tuple[ModelCard, Slots]:
        with self._http.shape("/v1/models or /props"):
            served = (await self._http.get("/v1/models"))["data"][0]["id"]
            props = await self._http.get("/props")
            context, slots = props["default_generation_settings"]["n_ctx"], Slots(props["total_slots"])
        if self._wanted not in (None, served):
            raise ConfigError(f"{self.name} serves {served}, not model {self._wanted!r}")
        return ModelCard(served, context), slots

    async def render(self, messages: Sequence[ChatMessage], template: Mapping[str, Any]) -> list[int]:
        """`/apply-template`, which strips the BOS token, then `/tokenize`, which is asked to add it."""
        body = {
            "messages": list(messages),
            "add_generation_prompt": True,
            "chat_template_kwargs": dict(template),
        }
        with self._http.shape("/apply-template or /tokenize"):
            text = (await self._http.post("/apply-template", body))["prompt"]
            tokens = await self._http.post("/tokenize", {"content": text, "add_special": True, "parse_special": True})
            return list(tokens["tokens"])

    async def encode(self, text: str, *, control: bool = False) -> Encoded:
        """`/tokenize` with the bytes of each piece."""
        body = {"content": text, "add_special": False, "parse_special": control, "with_pieces": True}
        with self._http.shape("/tokenize"):
            tokens = (await self._http.post("/tokenize", body))["tokens"]
            widths = [len(t["piece"].encode() if isinstance(t["piece"], str) else t["piece"]) for t in tokens]
            encoded = Encoded([int(token["id"]) for token in tokens], sliced(text, widths))
        self._spelling.learn(encoded.ids, encoded.texts)
        return encoded

    async def decode(self, ids: Sequence[int]) -> str:
        """`POST /detokenize`."""
        answer = await self._http.post("/detokenize", {"tokens": list(ids)})
        with self._http.shape("/detokenize"):
            return str(answer["content"])

    @property
    def overlaps(self) -> bool:
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
    ) -> AsyncGenerator[Token | End, None]:
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
        held, told, last, speech = _Held(), 0, None, Speech(self._spelling)
        with await self._slot(prompt) as slot:
            async with aclosing(self._http.events("/completion", body | {"id_slot": slot})) as events:
                async for event in events:
                    if event.get("stop"):
                        last = event
                        continue  # to the end: a connection whose answer was not read can't be used again
                    with self._http.shape("/completion"):
                        held.ids += event["tokens"]
                        held.logprobs += [number(self._http, p["logprob"], "logprob") for p in self._told(event)]
                        held.count += event["tokens_predicted"] - told
                        told, text = event["tokens_predicted"], event["content"]
                    if text:
                        for token in await self._tokens(text, held, speech):
                            yield token
                        held = _Held()
        if last is None:
            raise TruncatedResponse(f"{self.name}: a stream ended before its last event")
        with self._http.shape("/completion"):
            end, text = self._ended(last, held, close)
        for token in await self._tokens(text, held, speech):
            yield token
        yield end

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """One `/completion` with every prompt, one token each.

        The token is forced, which changes nothing of the log-probabilities: the server gives none where it would
        choose one that ends inside a character.
        """
        forced = (await self._spelling.anchor())[0]
        body = {
            "prompt": prompts,
            "n_predict": 1,
            "temperature": 0,
            "n_probs": top,
            "logit_bias": [[forced, _FORCE]],
            "cache_prompt": True,
        }
        with await self._slot(prompts[-1]) as slot:
            answer = await self._http.post("/completion", body | {"id_slot": slot})
        with self._http.shape("/completion"):
            results = sorted(answer if isinstance(answer, list) else [answer], key=lambda result: int(result["index"]))
            items = [self._reading(self._told(result)[0]["top_logprobs"]) for result in results]
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
        return (await self._served.get(self._wanted, self._asked))[1].one_for(prompt)

    async def _ids(self, text: str) -> list[int]:
        return (await self.encode(text)).ids

    async def _tokens(self, text: str, held: _Held, speech: Speech) -> list[Token]:
        if held.count == len(held.ids) or not text:
            return await speech.tokens(held.ids, held.logprobs, text)
        encoded = await self.encode(text)  # a character of several tokens: the stream has the last one's id only
        lowest = min(held.logprobs, default=0.0)
        return [Token(token, lowest, piece) for token, piece in zip(encoded.ids, encoded.texts, strict=True)]

    def _ended(self, event: dict[str, Any], held: _Held, close: Marker | None) -> tuple[End, str]:
        """Why a generation ended, and the text of the tokens that are still held; the one that ended it is not."""
        usage, kind, word = _usage(event), event.get("stop_type"), event.get("stopping_word")
        if kind == "limit":
            return End("length", usage), ""
        if kind == "word" and (close is None or word != close.text):
            return End("boundary", usage), event["content"] + word
        if kind not in ("eos", "word"):
            raise self._http.malformed(f"a generation ended for an unknown reason ({kind})")
        closing = (held.ids.pop(), held.logprobs.pop()) if held.ids else None
        held.count -= closing is not None
        return End("close" if kind == "word" else "end_of_turn", usage, closing), event["content"]

    def _told(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] | None = event.get("completion_probabilities")
        if found is None:
            raise NoLogprobs(f"{self.name} gives no completion_probabilities: is it llama.cpp's own server?")
        return found

    def _reading(self, listed: list[dict[str, Any]]) -> Reading:
        top = {int(token["id"]): number(self._http, token["logprob"], "top_logprobs") for token in listed}
        if not top:
            raise NoLogprobs(f"{self.name} gives an empty top_logprobs")
        return Reading(max(top, key=top.__getitem__), top)


def _usage(event: dict[str, Any]) -> Usage:
    cached = event.get("timings", {}).get("cache_n")
    return Usage(event["tokens_evaluated"], cached, event["tokens_predicted"])
