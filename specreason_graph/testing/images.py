"""What a scripted server makes of images: tokens by their size, that spell which one it is."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from itertools import cycle, islice
from typing import Any

import imagesize

from specreason_graph.testing.request import Refusal
from specreason_graph.testing.tokenizer import IMAGE, ByteTokenizer

_SIDE = 28  # pixels of a square that becomes one token, as of Qwen2-VL


@dataclass(frozen=True, slots=True)
class Seen:
    """An image, as the model sees it."""

    name: str
    """Hexadecimal digits that are its own."""
    tokens: int

    def ids(self, tokenizer: ByteTokenizer) -> list[int]:
        """What the model reads in its place: the digits, so that a script can tell one from the other."""
        return list(islice(cycle([tokenizer.byte_ids[ord(digit)] for digit in self.name]), self.tokens))


@dataclass(slots=True)
class Eyes:
    """The images that a server was shown, by what they were called."""

    keeps: int | None = None
    """How many of them; None: all."""
    _kept: dict[str, Seen] = field(default_factory=dict)

    def look(self, parts: Sequence[Mapping[str, Any]]) -> list[Seen]:
        """The images of a request; one that was shown before need not be sent again.

        Raises:
            Refusal: one is none, or was never shown.
        """
        found = []
        for at, part in enumerate(parts):
            uuid, url = part.get("uuid"), part.get("url")
            if uuid in self._kept:
                found.append(self._kept[uuid])
            elif url is None:
                raise Refusal(f"Cache miss for image at index {at} but data is not provided.")
            else:
                found.append(seen(url))
                self._keep(uuid or found[-1].name, found[-1])
        return found

    def _keep(self, name: str, image: Seen) -> None:
        self._kept[name] = image
        while self.keeps is not None and len(self._kept) > self.keeps:
            del self._kept[next(iter(self._kept))]

    def forget(self) -> None:
        """Have them sent again, as a server does whose cache was full, or that was started anew."""
        self._kept.clear()


def seen(url: str) -> Seen:
    """The image of a data URL.

    Raises:
        Refusal: it is none.
    """
    try:
        data = base64.b64decode(url.partition(",")[2], validate=True)
        width, height = imagesize.get(BytesIO(data))
    except ValueError:
        width = height = -1
    if width < 1 or height < 1:
        raise Refusal("Failed to load image: cannot identify image file")
    return Seen(sha256(data).hexdigest(), max(4, -(-int(width) // _SIDE) * -(-int(height) // _SIDE)))


def expanded(tokenizer: ByteTokenizer, ids: Sequence[int], images: Sequence[Seen]) -> Iterator[tuple[int, int]]:
    """The ids of a prompt with each placeholder as many times as its image has tokens, and what the model reads there.

    Placeholders behind the last image's are tokens like others, as a real engine reads them.

    Raises:
        Refusal: there are fewer placeholders than images.
    """
    place = tokenizer.id(IMAGE)
    if ids.count(place) < len(images):
        raise Refusal(
            f"Failed to apply prompt replacement for mm_items['image'][{ids.count(place)}]. Each image needs a "
            "placeholder."
        )
    left = iter(images)
    for token in ids:
        if token == place and (image := next(left, None)) is not None:
            yield from ((token, read) for read in image.ids(tokenizer))
        else:
            yield token, token
