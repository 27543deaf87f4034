"""The dialect of llama.cpp's server: its native `/completion`, since `/v1/completions` drops ids of long characters."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from copy import copy
from typing import Any

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import ConfigError, EndpointError, NoLogprobs, TruncatedResponse
from specreason_graph.endpoint.fields import required
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.image import Sight
from specreason_graph.endpoint.llamacpp_answers import PATH, Held, readings, spellings
from specreason_graph.endpoint.llamacpp_forms import closed, grammar
from specreason_graph.endpoint.memo import Memo
from specreason_graph.endpoint.protocol import (
    FREE,
    ChatMessage,
    Encoded,
    End,
    Form,
    Marker,
    ModelCard,
    Readings,
    Sampling,
    Token,
    Usage,
    boundaries,
)
from specreason_graph.endpoint.retries import is_passing
from specreason_graph.endpoint.slots import Slots
from specreason_graph.endpoint.spelling import Speech, Spelling, sliced

_FORCE = 1000.0  # logits; no model's come near


class LlamaCppEndpoint:
    """A llama.cpp server (see `protocol.Endpoint` for what each method promises)."""

    def __init__(self, role: str, config: EndpointConfig) -> None:
        self._http = Http(role, config)
        self._wanted = config.model
        self._served: Memo[str | None, tuple[ModelCard, Slots]] = Memo()
        self._characters: Memo[str, Encoded] = Memo()
        self._spelling = Spelling(self._ids, self.encode, self.decode)

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
        with self._http.shape("/v1/models"):
            served = str((await self._http.get("/v1/models"))["data"][0]["id"])
        props = await self._http.get("/props")
        settings = required(self._http, "/props", props, "default_generation_settings", dict)
        context, slots = (
            required(self._http, "/props", holder, name, int)
            for holder, name in ((settings, "n_ctx"), (props, "total_slots"))
        )
        if self._wanted not in (None, served):
            raise ConfigError(f"{self.name} serves {served}, not model {self._wanted!r}")
        return ModelCard(served, context), Slots(max(slots, 1))

    async def render(
        self, messages: Sequence[ChatMessage], template: Mapping[str, Any], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """`/apply-template`, which strips the BOS token, then `/tokenize`, which is asked to add it.

        Raises:
            ConfigError: the conversation ends with a reply, and the server would go on with that.
        """
        body = {
            "messages": [_named(message) for message in messages],
            "add_generation_prompt": True,
            "chat_template_kwargs": dict(template),
        }
        if tools:
            body["tools"] = list(tools)
        with self._http.shape("/apply-template or /tokenize"):
            text = required(
                self._http, "/apply-template", await self._http.post("/apply-template", body), "prompt", str
            )
            if messages[-1]["role"] == "assistant":
                closed = await self._http.post("/apply-template", {**body, "add_generation_prompt": False})
                if closed["prompt"] == text:
                    raise ConfigError(
                        f"{self.name} goes on with the reply that a conversation ends with, in place of a new one: "
                        "start llama-server with --no-prefill-assistant"
                    )
            tokens = await self._http.post("/tokenize", {"content": text, "add_special": True, "parse_special": True})
            ids = [int(token) for token in tokens["tokens"]]
        if not ids:
            raise self._http.malformed("/tokenize: `tokens` is empty")
        return ids

    async def sight(self) -> Sight:
        """None: the server takes images in a prompt of text, and puts tokens in it that nobody knows the ids of."""
        return Sight((), f"{self.name} is llama.cpp's server, which takes no images in prompts of token ids")

    async def look(self, prompt: Sequence[int]) -> Usage:
        """Refused (see `sight`)."""
        raise ConfigError((await self.sight()).why_not)

    async def encode(self, text: str, *, control: bool = False) -> Encoded:
        """`/tokenize` with the bytes of each piece."""
        body = {"content": text, "add_special": False, "parse_special": control, "with_pieces": True}
        with self._http.shape("/tokenize"):
            tokens = (await self._http.post("/tokenize", body))["tokens"]
            widths = [len(t["piece"].encode() if isinstance(t["piece"], str) else t["piece"]) for t in tokens]
            encoded = Encoded([int(token["id"]) for token in tokens], sliced(text, widths))
        if text and not encoded.ids:
            raise self._http.malformed("/tokenize: `tokens` is empty")
        self._spelling.learn(encoded.ids, encoded.texts)
        return encoded

    async def decode(self, ids: Sequence[int]) -> str:
        """`POST /detokenize`."""
        answer = await self._http.post("/detokenize", {"tokens": list(ids)})
        return required(self._http, "/detokenize", answer, "content", str)

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
            "stop": [*(boundaries(boundary) if boundary else form.stop), *([close.text] if close else [])],
            "n_probs": 1,
            "return_tokens": True,
            "cache_prompt": True,
            "stream": True,
        }
        if form.schema is not None:
            body["json_schema"] = closed(form.schema)
        elif form.choices:
            body["grammar"] = grammar(form.choices)
        held, told, last, speech = Held(), 0, None, Speech(self._spelling)
        try:
            with await self._slot(prompt) as slot:
                async with aclosing(self._http.events(PATH, body | {"id_slot": slot})) as events:
                    async for event in events:
                        if event.get("stop"):
                            last = event
                            continue  # to the end: a connection whose answer was not read can't be used again
                        told, text = (
                            held.add(self._http, event, told),
                            required(self._http, PATH, event, "content", str),
                        )
                        for token_id, spelled in spellings(event).items():
                            self._spelling.learn([token_id], [spelled])
                        if text:
                            for token in await self._tokens(text, held, speech):
                                yield token
                            held = Held()
        except EndpointError as error:
            if last is None or not is_passing(error):  # else all is told
                raise
        if last is None:
            raise TruncatedResponse(f"{self.name}: a stream ended before its last event")
        end, text = held.ended(self._http, last, close)
        for token in await self._tokens(text, held, speech):
            yield token
        yield end

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """One `/completion` with every prompt, one token each.

        The token is forced, which changes nothing of the log-probabilities: the server gives none where it would
        choose one that ends inside a character.
        """
        forced = await self._spelling.anchor()
        body = {
            "prompt": prompts,
            "n_predict": 1,
            "temperature": 0,
            "n_probs": top,
            "logit_bias": [[token, _FORCE] for token in forced],
            "cache_prompt": True,
        }
        with await self._slot(prompts[-1]) as slot:
            answer = await self._http.post(PATH, body | {"id_slot": slot})
        items = readings(self._http, answer, len(prompts))
        usages = [usage for _, usage in items]
        return Readings([reading for reading, _ in items], sum(usages[1:], start=usages[0]))

    async def likelihood(self, prompt: Sequence[int]) -> None:
        """llama.cpp's server gives no log-probabilities of a prompt."""

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _slot(self, prompt: Sequence[int]) -> AbstractContextManager[int]:
        return (await self._served.get(self._wanted, self._asked))[1].one_for(prompt)

    async def _ids(self, text: str) -> list[int]:
        return (await self.encode(text)).ids

    async def _tokens(self, text: str, held: Held, speech: Speech) -> list[Token]:
        if held.count == len(held.ids) or not text:
            return await speech.tokens(held.ids, held.logprobs, text if len(held.ids) > 1 else "")
        if not held.logprobs:
            raise NoLogprobs(f"{self.name} gives no `completion_probabilities` for {text[:40]!r}")
        # A character of several tokens: the stream has the last one's id only.
        encoded = await self._characters.get(text, lambda: self.encode(text))
        lowest = min(held.logprobs)
        return [Token(token, lowest, piece) for token, piece in zip(encoded.ids, encoded.texts, strict=True)]


def _named(message: ChatMessage) -> ChatMessage:
    """A message with its reasoning under the name that it has here."""
    return {("reasoning_content" if field == "reasoning" else field): value for field, value in message.items()}
