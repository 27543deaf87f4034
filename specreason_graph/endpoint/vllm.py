"""The vLLM dialect: `/v1/completions` on raw token ids, `/tokenize` for everything about text.

Only public fields, and the effect of each is checked: vLLM ignores unknown ones with a 200.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from typing import Any

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import ConfigError, NoLogprobs, TruncatedResponse
from specreason_graph.endpoint.full_likelihood import FullLikelihood
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.protocol import (
    FREE,
    ChatMessage,
    Chunk,
    Encoded,
    End,
    Ending,
    Form,
    Likelihood,
    Marker,
    ModelCard,
    Reading,
    Readings,
    Rendered,
    Sampling,
    Usage,
)
from specreason_graph.endpoint.spelling import plain_pieces, token_widths


class VllmEndpoint:
    """A vLLM server (see `protocol.Endpoint` for what each method promises)."""

    def __init__(self, role: str, config: EndpointConfig) -> None:
        self._http = Http(role, config)
        self._wanted = config.model
        self._full_likelihood = FullLikelihood() if config.full_likelihood else None
        self._card: ModelCard | None = None

    @property
    def name(self) -> str:
        """Role and address, for messages."""
        return self._http.name

    async def pinned(self, session: str) -> VllmEndpoint:
        """A view that sends the session's header."""
        await self.card()  # what is known is copied, so it is asked for before
        view = copy(self)
        view._http = self._http.pinned(session)
        return view

    async def card(self) -> ModelCard:
        """The served model.

        Raises:
            ConfigError: the configured model is not served here.
        """
        if self._card is None:
            served = await self._http.get("/v1/models")
            with self._http.shape("/v1/models"):
                models = {m["id"]: m.get("max_model_len") for m in served["data"]}
            name = self._wanted or next(iter(models), "")
            if name not in models:
                raise ConfigError(f"{self.name} serves {', '.join(models) or 'no model'}, not model {name!r}")
            context = models[name]
            if context is None:  # a router's own list, which need not say it
                with self._http.shape("/tokenize"):
                    context = (await self._http.post("/tokenize", {"model": name, "prompt": "?"}))["max_model_len"]
            if not isinstance(context, int):
                raise self._http.malformed("/v1/models gives no max_model_len")
            self._card = ModelCard(name, context)
        return self._card

    async def render(self, messages: Sequence[ChatMessage], template: Mapping[str, Any]) -> Rendered:
        """`POST /tokenize` with messages, then `/detokenize` for the text behind the ids."""
        body = {
            "messages": list(messages),
            "add_generation_prompt": True,
            "chat_template_kwargs": dict(template),
        }
        ids = self._ids(await self._post("/tokenize", body))
        text = await self._post("/detokenize", {"tokens": ids})
        with self._http.shape("/detokenize"):
            return Rendered(text["prompt"], ids)

    async def encode(self, text: str, *, control: bool = False) -> Encoded:
        """`POST /tokenize`, in pieces where the text spells a control token that is to stay text."""
        pieces = [text] if control else plain_pieces(text)
        ids: list[int] = []
        widths: list[int] = []
        for piece in pieces:
            body = {"prompt": piece, "add_special_tokens": False, "return_token_strs": True}
            answer = await self._post("/tokenize", body)
            ids += self._ids(answer)
            widths += token_widths(answer.get("token_strs") or [], piece)
        return Encoded(ids, widths)

    async def decode(self, ids: Sequence[int]) -> str:
        """`POST /detokenize`."""
        answer = await self._post("/detokenize", {"tokens": list(ids)})
        with self._http.shape("/detokenize"):
            return str(answer["prompt"])

    @property
    def runs_on(self) -> bool:
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
    ) -> AsyncGenerator[Chunk, None]:
        """A streamed `/v1/completions`; `logprobs: 0` gives each token's id and log-probability, and no more."""
        body = {
            "model": (await self.card()).name,
            "prompt": prompt,
            "max_tokens": max_tokens,
            "temperature": sampling.temperature,  # always sent: the model's generation config would decide
            "top_p": sampling.top_p,
            "seed": sampling.seed,
            "stop": [boundary] if boundary else list(form.stop),
            "stop_token_ids": [close.id] if close else [],
            "include_stop_str_in_output": not form.stop,
            "logprobs": 0,
            "return_tokens_as_token_ids": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if form.schema is not None:
            body["structured_outputs"] = {"json": form.schema}
        last: tuple[Chunk, Ending, tuple[int, float] | None] | None = None
        usage: Usage | None = None
        async with aclosing(self._http.events("/v1/completions", body)) as events:
            async for event in events:
                for choice in event.get("choices", ()):
                    chunk = self._chunk(choice)
                    if choice.get("finish_reason") is None:
                        yield chunk
                    else:
                        last = self._ended(choice, chunk, close)
                if event.get("usage"):
                    usage = self._usage(event)
        if last is None or usage is None:
            raise TruncatedResponse(f"{self.name}: a stream ended before its last event")
        chunk, why, closing = last  # only now: a connection whose answer was not read to its end can't be used again
        yield Chunk(chunk.text, chunk.ids, chunk.logprobs, End(why, usage, closing))

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """One `/v1/completions` with every prompt, one token each."""
        body = {
            "model": (await self.card()).name,
            "prompt": prompts,
            "max_tokens": 1,
            "temperature": 0,
            "top_p": 1,
            "logprobs": top,
            "return_tokens_as_token_ids": True,
        }
        answer = await self._post("/v1/completions", body)
        with self._http.shape("/v1/completions"):
            choices = sorted(answer["choices"], key=lambda choice: int(choice["index"]))
        if len(choices) != len(prompts):
            raise self._http.malformed(f"{len(choices)} answers to {len(prompts)} prompts")
        usage = self._usage(answer)
        if len(prompts) > 1:  # vLLM sums the tokens of several prompts, but gives the cached ones of the last only
            usage = Usage(usage.prompt_tokens, None, usage.completion_tokens)
        return Readings([self._reading(choice) for choice in choices], usage)

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

    def _ids(self, answer: dict[str, Any]) -> list[int]:
        tokens = answer.get("tokens")
        if not isinstance(tokens, list) or not all(isinstance(token, int) for token in tokens):
            raise self._http.malformed("/tokenize gives no token ids")
        return tokens

    def _chunk(self, choice: dict[str, Any]) -> Chunk:
        logprobs = choice.get("logprobs")
        if logprobs is None:
            if choice.get("text"):
                raise NoLogprobs(f"{self.name} gives no log-probabilities: is it vLLM, or does a proxy drop them?")
            return Chunk()
        with self._http.shape("/v1/completions"):
            ids = [self._id(token) for token in logprobs["tokens"]]
            return Chunk(choice["text"], ids, list(logprobs["token_logprobs"]))

    def _id(self, token: str) -> int:
        prefix, _, number = token.partition(":")
        if prefix != "token_id" or not number.isdigit():
            raise self._http.malformed(f"ignores return_tokens_as_token_ids (token {token!r})")
        return int(number)

    def _ended(
        self, choice: dict[str, Any], chunk: Chunk, close: Marker | None
    ) -> tuple[Chunk, Ending, tuple[int, float] | None]:
        finish, stop = choice["finish_reason"], choice.get("stop_reason")
        if finish == "length":
            return chunk, "length", None
        if finish != "stop":
            raise TruncatedResponse(f"{self.name}: the server gave up a generation ({finish})")
        if isinstance(stop, str):
            return chunk, "boundary", None
        closed = close is not None and stop == close.id
        text = chunk.text.removesuffix(close.text) if closed and close else chunk.text
        if not chunk.ids:
            return chunk, "close" if closed else "end_of_turn", None
        closing = (chunk.ids[-1], chunk.logprobs[-1])
        kept = Chunk(text, chunk.ids[:-1], chunk.logprobs[:-1])
        return kept, "close" if closed else "end_of_turn", closing

    def _reading(self, choice: dict[str, Any]) -> Reading:
        logprobs = choice.get("logprobs")
        if not logprobs or not logprobs.get("top_logprobs"):
            raise NoLogprobs(f"{self.name} gives no top log-probabilities (start vLLM with --max-logprobs 20 or more)")
        with self._http.shape("/v1/completions"):
            top = {self._id(token): float(value) for token, value in logprobs["top_logprobs"][0].items()}
            return Reading(self._id(logprobs["tokens"][0]), top)

    def _usage(self, answer: dict[str, Any]) -> Usage:
        with self._http.shape("/v1/completions"):
            usage = answer["usage"]
            details = usage.get("prompt_tokens_details") or {}
            return Usage(usage["prompt_tokens"], details.get("cached_tokens"), usage.get("completion_tokens", 0))
