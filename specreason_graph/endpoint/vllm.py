"""The vLLM dialect: `/v1/completions` on raw token ids, `/tokenize` for everything about text.

Prompts that hold images go to `/inference/v1/generate` (see `inference`), all others never.

Only public fields, and the effect of each is checked: vLLM ignores unknown ones with a 200.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from typing import Any

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import ConfigError, EndpointError, TruncatedResponse
from specreason_graph.endpoint import completions, inference
from specreason_graph.endpoint.fields import optional, required
from specreason_graph.endpoint.full_likelihood import FullLikelihood
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.ids import images_of, size
from specreason_graph.endpoint.image import Image, Sight
from specreason_graph.endpoint.load import Heard
from specreason_graph.endpoint.memo import Memo
from specreason_graph.endpoint.protocol import (
    FREE,
    ChatMessage,
    Encoded,
    End,
    Ending,
    Form,
    Likelihood,
    Marker,
    ModelCard,
    Readings,
    Sampling,
    Token,
    Usage,
    boundaries,
)
from specreason_graph.endpoint.retries import is_passing
from specreason_graph.endpoint.sight import tried
from specreason_graph.endpoint.spelling import Speech, Spelling, plain_pieces, texts_of


class VllmEndpoint:
    """A vLLM server (see `protocol.Endpoint` for what each method promises)."""

    def __init__(self, role: str, config: EndpointConfig, heard: Heard | None = None) -> None:
        self._http = Http(role, config, heard)
        self._wanted = config.model
        self._cards: Memo[str | None, ModelCard] = Memo()
        self._sights: Memo[str | None, Sight] = Memo()
        self._shown = inference.Shown()
        self._full_likelihood = FullLikelihood(self._shown) if config.full_likelihood else None
        self._spelling = Spelling(self._ids, self.encode, self.decode)

    @property
    def name(self) -> str:
        """Role and address, for messages."""
        return self._http.name

    def pinned(self, session: str) -> VllmEndpoint:
        """A view that sends the session's header."""
        view = copy(self)
        view._http = self._http.pinned(session)
        return view

    async def card(self) -> ModelCard:
        """The served model.

        Raises:
            ConfigError: the configured model is not served here.
        """
        return await self._cards.get(self._wanted, self._asked)

    async def _asked(self) -> ModelCard:
        served = await self._http.get("/v1/models")
        with self._http.shape("/v1/models"):
            models = {str(m["id"]): m.get("max_model_len") for m in served["data"]}
        name = self._wanted or next(iter(models), "")
        if name not in models:
            raise ConfigError(f"{self.name} serves {', '.join(models) or 'no model'}, not model {name!r}")
        context = models[name]
        if context is None:  # a router's own list, which need not say it
            with self._http.shape("/tokenize"):
                context = (await self._http.post("/tokenize", {"model": name, "prompt": "?"}))["max_model_len"]
        if not isinstance(context, int):
            raise self._http.malformed("/v1/models gives no max_model_len")
        return ModelCard(name, context)

    async def render(
        self, messages: Sequence[ChatMessage], template: Mapping[str, Any], tools: Sequence[Mapping[str, Any]] = ()
    ) -> list[int]:
        """`POST /tokenize` with messages."""
        body = {
            "messages": list(messages),
            "add_generation_prompt": True,
            "chat_template_kwargs": dict(template),
        }
        if tools:
            body["tools"] = list(tools)
        return (await self._tokenized(body))[0]

    async def sight(self) -> Sight:
        """Tried with an image of few pixels, once; a server that takes none may be started anew, so that it does."""
        sight = await self._sights.get(self._wanted, lambda: tried(self))
        if not sight.place:
            self._sights.forget(self._wanted)
        return sight

    async def look(self, prompt: Sequence[int]) -> Usage:
        """One token of `/inference/v1/generate`, so that what it has read is in its prefix cache."""
        answer = await self._seen(prompt, logprobs=0)
        counts = required(self._http, inference.PATH, answer, "usage", dict)
        read = required(self._http, inference.PATH, counts, "prompt_tokens", int)
        return completions.usage(self._http, answer, read, 1)

    async def encode(self, text: str, *, control: bool = False) -> Encoded:
        """`POST /tokenize`, once more in pieces where the text spells a control token that is to stay text."""
        encoded = await self._encoded(text)
        if not control and len(pieces := plain_pieces(text, encoded.texts)) > 1:
            found = [await self._encoded(piece) for piece in pieces]
            encoded = Encoded([i for one in found for i in one.ids], [it for one in found for it in one.texts])
        self._spelling.learn(encoded.ids, encoded.texts)
        return encoded

    async def _encoded(self, text: str) -> Encoded:
        found, strings = await self._tokenized({"prompt": text, "add_special_tokens": False, "return_token_strs": True})
        told = texts_of(strings, text)
        if told is None or len(told) != len(found):  # no strings, or such as are no spelling
            told = [token.text for token in await Speech(self._spelling).tokens(found, [0.0] * len(found))]
        return Encoded(found, told)

    async def decode(self, ids: Sequence[int]) -> str:
        """`POST /detokenize`."""
        answer = await self._post("/detokenize", {"tokens": list(ids)})
        return required(self._http, "/detokenize", answer, "prompt", str)

    @property
    def overlaps(self) -> bool:
        """A closed connection stops vLLM at its next step, and prompts share their prefix in its cache."""
        return True

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
        """A streamed `/v1/completions`; `logprobs: 0` gives each token's id and log-probability, and no more.

        A server that ignores `stop_token_ids` is stopped here: what a model writes behind `close` is no reasoning.
        """
        stops = boundaries(boundary) if boundary else list(form.stop)
        body = completions.generation((await self.card()).name, prompt, max_tokens, sampling, stops, close, form)
        images = images_of(prompt)
        said_in = inference.said if images else completions.said
        speech, stopped, written = Speech(self._spelling, next(reversed(prompt), None)), completions.Stopped(stops), 0
        end: tuple[Ending, Token | None] | None = None
        known = Usage(size(prompt), None, 0)
        try:
            async with aclosing(self._events(body, images)) as events:
                async for event in events:
                    for said in said_in(self._http, event):
                        written += len(said.ids)
                        known = Usage(size(prompt), None, written)
                        # A stop string may cut the last event's text, so that is not what its ids spell.
                        tokens = await speech.tokens(said.ids, said.logprobs, "" if said.finish else said.text)
                        stopped.read(tokens)
                        if said.finish is not None:
                            end = completions.ended(said.why(self.name, close), said.stop, tokens, close, stopped)
                        for token in tokens:
                            if close is not None and token.id == close.id:
                                yield End("close", known, (token.id, token.logprob))
                                return
                            yield token
                    if event.get("usage") is not None:
                        known = completions.usage(self._http, event, size(prompt), written)
        except EndpointError as error:
            if end is None or not is_passing(error):  # else only the bill is lost
                raise
        if end is None:
            raise TruncatedResponse(f"{self.name}: a stream ended before its last event")
        # Only now: a connection whose answer was not read to its end can't be used again.
        why, last = end
        yield End(why, known, last and (last.id, last.logprob))

    def _events(self, body: dict[str, Any], images: Sequence[Image]) -> AsyncGenerator[dict[str, Any], None]:
        if not images:
            return self._http.events(completions.PATH, body)
        return self._shown.events(self._http, inference.request(body, output_mode="text"), images)

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """One `/v1/completions` with every prompt, one token each; prompts with images go one a request."""
        if prompts and images_of(prompts[0]):
            return await self._read_each(prompts, top)
        body = completions.one_token((await self.card()).name, prompts, logprobs=top)
        answer = await self._post(completions.PATH, body)
        items = completions.readings(self._http, answer, len(prompts))
        usage = completions.usage(self._http, answer, sum(map(len, prompts)), len(prompts))
        if len(prompts) > 1:  # vLLM sums the tokens of several prompts, but gives the cached ones of the last only
            usage = Usage(usage.prompt_tokens, None, usage.completion_tokens)
        return Readings(items, usage)

    async def _read_each(self, prompts: Sequence[Sequence[int]], top: int) -> Readings:
        answers = await inference.together([self._seen(prompt, logprobs=top) for prompt in prompts])
        paid = [completions.usage(self._http, it, size(prompt), 1) for prompt, it in zip(prompts, answers, strict=True)]
        return Readings([inference.reading(self._http, answer) for answer in answers], sum(paid, start=Usage()))

    async def _seen(self, prompt: Sequence[int], *, logprobs: int) -> dict[str, Any]:
        """One token behind a prompt with images."""
        body = completions.one_token((await self.card()).name, prompt, logprobs=logprobs)
        return await self._shown.post(self._http, inference.request(body, output_mode="tokens"), images_of(prompt))

    async def likelihood(self, prompt: Sequence[int]) -> Likelihood | None:
        """See `full_likelihood`; None where it is turned off or can't tell."""
        if self._full_likelihood is None:
            return None
        return await self._full_likelihood.read(self._http, (await self.card()).name, prompt)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self._http.post(path, {"model": (await self.card()).name, **body})
        if not isinstance(answer, dict):
            raise self._http.malformed(f"{path} answered no object")
        return answer

    async def _ids(self, text: str) -> list[int]:
        return (await self._tokenized({"prompt": text, "add_special_tokens": False}))[0]

    async def _tokenized(self, body: dict[str, Any]) -> tuple[list[int], list[Any]]:
        answer = await self._post("/tokenize", body)
        ids = required(self._http, "/tokenize", answer, "tokens", list)
        if not all(isinstance(token, int) for token in ids):
            raise self._http.malformed("/tokenize: `tokens` holds what is no id")
        if not ids and body.get("prompt") != "":
            raise self._http.malformed("/tokenize: `tokens` is empty")
        return ids, optional(self._http, "/tokenize", answer, "token_strs", list) or []
