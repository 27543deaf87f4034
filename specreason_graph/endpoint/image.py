"""An image in a prompt, and whether a server can be shown one."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

MimeType = Literal["image/png", "image/jpeg", "image/webp", "image/gif"]


@dataclass(frozen=True)
class Image:
    """The bytes of a file, looked at before it came here: `width` and `height` are pixels.

    It is known by its bytes alone: what a server has under the `uuid` is this image and no other.
    """

    data: bytes = field(repr=False)
    mime_type: MimeType
    width: int
    height: int

    @cached_property
    def uuid(self) -> str:
        """SHA-256 of the bytes, in hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def base64(self) -> str:
        """The bytes as text."""
        return b64encode(self.data).decode()

    @property
    def url(self) -> str:
        """As a data URL."""
        return f"data:{self.mime_type};base64,{self.base64}"


class Sight(NamedTuple):
    """What an endpoint makes of images."""

    place: tuple[int, ...]
    """Ids that stand for one image in a prompt; empty where it takes none."""
    why_not: str = ""
    """For messages: why it takes none."""
