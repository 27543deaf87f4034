"""Whether a server can be shown images, found out by showing it one."""

from __future__ import annotations

import base64
from itertools import groupby

from specreason_graph.contract.errors import ConfigError, EndpointFailed, EndpointRefused
from specreason_graph.endpoint.ids import Ids
from specreason_graph.endpoint.image import Image, Sight
from specreason_graph.endpoint.protocol import Endpoint

_SENTINEL = "SENTINEL"
_BLACK = "iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQAAAACCEkxzAAAAD0lEQVR42mNgGAWjgHwAAAJAAAHgTR1EAAAAAElFTkSuQmCC"
"""A PNG of 64 by 64 pixels."""

_NOT_TAKEN = (400, 404, 422, 500)
"""How servers answer to messages that hold an image, where the model or the template takes none."""


async def tried(endpoint: Endpoint) -> Sight:
    """What the model's template puts in an image's place, and whether the server puts the image there again.

    A template's text is expanded by some servers: as many placeholders as the image has tokens. One of them is what a
    prompt holds, and the server has to make as many of it as it did itself.

    Raises:
        EndpointError: the server failed in a way that says nothing of images.
    """
    black = Image(base64.b64decode(_BLACK), "image/png", 64, 64)
    text, image = {"type": "text", "text": _SENTINEL}, {"type": "image_url", "image_url": {"url": black.url}}
    try:
        rendered = await endpoint.render([{"role": "user", "content": [text, image, text]}], {})
    except (EndpointRefused, EndpointFailed) as error:
        if error.status not in _NOT_TAKEN:
            raise
        return Sight((), f"{endpoint.name} serves a model that takes no images")
    before, _, behind = (await endpoint.decode(rendered)).partition(_SENTINEL)
    between, _, after = behind.partition(_SENTINEL)
    first, spelled, last = [
        (await endpoint.encode(text, control=True)).ids for text in (before + _SENTINEL, between, _SENTINEL + after)
    ]
    place = tuple(token for token, _ in groupby(spelled))
    if not place:
        return Sight((), f"{endpoint.name} serves a model whose chat template passes over images")
    prompt = Ids([*first, *place, *last], [black])
    try:
        grown = (await endpoint.look(prompt)).prompt_tokens - len(prompt)
    except ConfigError as error:
        return Sight((), str(error))
    except (EndpointRefused, EndpointFailed) as error:
        if error.status not in _NOT_TAKEN:
            raise
        return Sight((), f"{endpoint.name} answers {error.status} to a prompt with an image")
    if grown <= 0 or len(spelled) - len(place) not in (0, grown):
        return Sight((), f"{endpoint.name} serves a model whose images have no single placeholder, which is not known")
    return Sight(place)
