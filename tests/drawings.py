"""Images that tests make themselves."""

from __future__ import annotations

import io

from PIL import Image as Pillow
from PIL import ImageDraw

from specreason_graph.endpoint.image import Image
from specreason_graph.models.image_file import image


def file(colour: str, size: tuple[int, int] = (112, 84), kind: str = "PNG") -> bytes:
    """A file with a square of some colour on white."""
    drawn = Pillow.new("RGB", size, "white")
    ImageDraw.Draw(drawn).rectangle((size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2), fill=colour)
    written = io.BytesIO()
    drawn.save(written, kind)
    return written.getvalue()


def drawing(colour: str, size: tuple[int, int] = (112, 84)) -> Image:
    """The same, looked at."""
    return image(file(colour, size))
