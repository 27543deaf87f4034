"""An image's bytes, looked at before any server is sent them."""

from __future__ import annotations

import base64

from specreason_graph.contract.errors import ConfigError
from specreason_graph.endpoint.image import Image, MimeType
from specreason_graph.models.image_formats import look

MOST_BYTES = 20 * 2**20
"""Of one image; a photo of 12 megapixels has 3 to 6 MB."""

_MOST_PIXELS = 64 * 10**6  # small files may unpack to more than a server has memory for

_BEGINS: dict[bytes, MimeType] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


def image(data: bytes, what: str = "messages") -> Image:
    """An image of a kind and size that servers take; what its bytes say counts, and no name or header.

    Args:
        data: of the file.
        what: for messages: where it came from.

    Raises:
        ConfigError: it is none.
    """
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{what}: an image of {len(data)} bytes is more than {MOST_BYTES}; send a smaller one")
    mime_type = next((kind for begins, kind in _BEGINS.items() if data.startswith(begins)), None)
    if mime_type is None or (mime_type == "image/webp" and data[8:12] != b"WEBP"):
        raise ConfigError(f"{what}: an image is no PNG, JPEG, WebP or GIF file; convert it")
    width, height, fault = look(data, mime_type)
    if width < 1 or height < 1:
        raise ConfigError(f"{what}: an image of {mime_type} is broken, it does not say its size; send another file")
    if width * height > _MOST_PIXELS:
        raise ConfigError(
            f"{what}: an image of {width} by {height} pixels is more than {_MOST_PIXELS // 10**6} megapixels; make it "
            "smaller"
        )
    if fault is not None:  # a server fails on it as if it were broken itself
        raise ConfigError(f"{what}: an image of {mime_type} {fault}")
    return Image(data, mime_type, width, height)


def from_base64(text: str) -> bytes:
    """A file's bytes; some write them in lines.

    Raises:
        ValueError: the text is no base64.
    """
    return base64.b64decode("".join(text.split()), validate=True)


def as_block(image: Image) -> dict[str, str]:
    """An image as LangChain's messages hold it."""
    return {"type": "image", "base64": image.base64, "mime_type": image.mime_type}
