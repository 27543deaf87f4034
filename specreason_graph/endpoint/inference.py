"""vLLM's `/inference/v1/generate`: ids with placeholders and a list of images, which the server puts in their places.

It is asked where a prompt holds images, and nowhere else. A server keeps what it was shown under the image's `uuid`, so
the bytes are sent once, and again where it has dropped them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal, TypeVar

from specreason_graph.contract.errors import ConfigError, EndpointRefused, NoLogprobs
from specreason_graph.endpoint.completions import Said
from specreason_graph.endpoint.fields import number, optional, required, shown
from specreason_graph.endpoint.http import Http
from specreason_graph.endpoint.image import Image
from specreason_graph.endpoint.protocol import Reading

PATH = "/inference/v1/generate"

_Answer = TypeVar("_Answer")

_DROPPED = "Cache miss for image"  # vLLM's words for a uuid that it does not have, or has no more
_MOST = 10_000  # images that are known to be there; a server's cache holds fewer
_NO_SAMPLING = ("model", "prompt", "stream", "stream_options", "return_tokens_as_token_ids")


def request(completion: Mapping[str, Any], *, output_mode: Literal["text", "tokens"]) -> dict[str, Any]:
    """What a completions request of one prompt asks for, in this path's shape; `Shown` puts the images in.

    Args:
        completion: the request's body.
        output_mode: with the tokens' text, or else with the ids of those that were likeliest.
    """
    streams = {name: completion[name] for name in ("stream", "stream_options") if name in completion}
    return {
        "model": completion["model"],
        "token_ids": completion["prompt"],
        "sampling_params": {name: value for name, value in completion.items() if name not in _NO_SAMPLING},
        "output_mode": output_mode,
        **streams,
    }


class Shown:
    """Which images a server has been shown."""

    def __init__(self) -> None:
        self._uuids: dict[str, None] = {}
        self._being_sent: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Event] = {}

    async def post(self, http: Http, body: Mapping[str, Any], images: Sequence[Image]) -> dict[str, Any]:
        """The answer to a request with images.

        Raises:
            ConfigError: the server was not started for this.
            EndpointError: it failed, or refused the request.
        """
        for _ in range(2):
            try:
                return await self._posted(http, body, images)
            except EndpointRefused as refusal:
                self._forget(http, refusal, images)
        return await self._answer(http, self._holding(body, images, all_bytes=True), images)

    async def _posted(self, http: Http, body: Mapping[str, Any], images: Sequence[Image]) -> dict[str, Any]:
        """Whoever needs what another request sends waits for it, but once: one that hangs holds up nobody in turn."""
        loop = asyncio.get_running_loop()
        needed = [(loop, image.uuid) for image in images]
        for key in needed:
            if key in self._being_sent:
                await self._being_sent[key].wait()
        new = {key for key in needed if key[1] not in self._uuids and key not in self._being_sent}
        self._being_sent.update(dict.fromkeys(new, sent := asyncio.Event()))
        try:
            return await self._answer(http, self._holding(body, images), images)
        finally:
            for key in new:
                del self._being_sent[key]
            sent.set()

    async def _answer(self, http: Http, body: Mapping[str, Any], images: Sequence[Image]) -> dict[str, Any]:
        answer = await http.post(PATH, body)
        self._keep(images)
        if not isinstance(answer, dict):
            raise http.malformed(f"{PATH} answered no object")
        return answer

    async def events(
        self, http: Http, body: Mapping[str, Any], images: Sequence[Image]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The same, streamed; leaving early closes the connection."""
        for is_last in (False, True):
            begun = False
            try:
                async with aclosing(http.events(PATH, self._holding(body, images, all_bytes=is_last))) as events:
                    async for event in events:
                        if not begun:  # later ones tell nothing new: it may have dropped them since
                            self._keep(images)
                            begun = True
                        yield event
                return
            except EndpointRefused as refusal:
                if is_last:
                    raise
                self._forget(http, refusal, images)

    def _holding(self, body: Mapping[str, Any], images: Sequence[Image], *, all_bytes: bool = False) -> dict[str, Any]:
        """With the bytes of those that the server may not have; with all, it can't miss any."""
        parts = [{"type": "image_url", "uuid": image.uuid} for image in images]
        for part, image in zip(parts, images, strict=True):
            if all_bytes or image.uuid not in self._uuids:
                part["url"] = image.url
        return {**body, "content_parts": parts}

    def _keep(self, images: Sequence[Image]) -> None:
        self._uuids.update(dict.fromkeys(image.uuid for image in images))
        while len(self._uuids) > _MOST:
            self._uuids.pop(next(iter(self._uuids)), None)

    def _forget(self, http: Http, refusal: EndpointRefused, images: Sequence[Image]) -> None:
        """So that they are sent again, if it is that which was refused."""
        if refusal.status in (403, 404):
            raise ConfigError(
                f"{http.name} does not serve {PATH}, which images need: start it with --enable-scale-out, or leave "
                "the images out"
            ) from None
        if _DROPPED not in str(refusal):
            raise refusal
        for image in images:
            self._uuids.pop(image.uuid, None)


def said(http: Http, event: dict[str, Any]) -> Iterator[Said]:
    """The choices of an event; the one that tells usage has none.

    Raises:
        NoLogprobs: log-probabilities are missing, or are no numbers.
        MalformedResponse: another field is not what it should be.
    """
    for choice in required(http, PATH, event, "choices", list):
        ids = [_id(http, token) for token in required(http, PATH, choice, "token_ids", list)]
        rows = _rows(http, choice) if ids else []
        if len(rows) != len(ids):
            raise http.malformed(f"{PATH}: `token_ids` has {len(ids)} and `logprobs` {len(rows)} tokens")
        values = [_logprob(http, row) for row in rows]
        text = optional(http, PATH, choice, "text", str) or ""
        finish = optional(http, PATH, choice, "finish_reason", str)
        yield Said(ids, values, text, finish, choice.get("stop_reason"))


def reading(http: Http, answer: Mapping[str, Any]) -> Reading:
    """The distribution of the one token that was asked for.

    Raises:
        NoLogprobs: log-probabilities are missing, or are no numbers.
        MalformedResponse: another field is not what it should be.
    """
    choices = required(http, PATH, answer, "choices", list)
    rows = _rows(http, choices[0]) if choices else []
    if not rows:
        raise http.malformed(f"{PATH}: `choices` holds no token")
    top = required(http, PATH, rows[0], "top_logprobs", list)
    if not top:
        raise NoLogprobs(f"{http.name} gives no `top_logprobs` (start vLLM with --max-logprobs 20 or more)")
    return Reading(
        _id(http, required(http, PATH, rows[0], "token_id", int)),
        {_id(http, required(http, PATH, one, "token_id", int)): _logprob(http, one) for one in top},
    )


async def together(requests: Sequence[Coroutine[Any, Any, _Answer]]) -> list[_Answer]:
    """The answers of requests that go at once; where one fails, no other goes on."""
    asked = [asyncio.ensure_future(request) for request in requests]
    try:
        return await asyncio.gather(*asked)
    finally:
        for one in asked:
            one.cancel()


def _rows(http: Http, choice: object) -> list[Any]:
    logprobs = optional(http, PATH, choice, "logprobs", dict)
    if logprobs is None:
        raise NoLogprobs(f"{http.name} gives no `logprobs`: is it vLLM, or does a proxy drop them?")
    return required(http, PATH, logprobs, "content", list)


def _logprob(http: Http, row: object) -> float:
    return number(http, row.get("logprob") if isinstance(row, Mapping) else None, "logprobs")


def _id(http: Http, token: object) -> int:
    if isinstance(token, bool) or not isinstance(token, int):
        raise http.malformed(f"{PATH}: {shown(token)} is no token id")
    return token
