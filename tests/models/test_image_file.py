"""What an image's bytes say is looked at before any server gets them."""

import io
import struct
import zlib
from typing import Any

import pytest
from drawings import file
from PIL import Image

from specreason_graph import ConfigError
from specreason_graph.models import image_file
from specreason_graph.models.image_file import as_block, image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_the_four_kinds_that_servers_take(kind: str) -> None:
    found = image(file("red", (120, 90), kind))
    assert (found.mime_type, found.width, found.height) == (f"image/{kind.lower()}", 120, 90)
    assert found.url.startswith(f"data:image/{kind.lower()};base64,")
    assert as_block(found) == {"type": "image", "base64": found.base64, "mime_type": found.mime_type}


def test_it_is_known_by_its_bytes() -> None:
    """Guards servers' caches: one name is one image, in whatever run and process."""
    assert image(file("red")).uuid == image(file("red")).uuid != image(file("blue")).uuid


def png_of(width: int, height: int) -> bytes:
    """The beginning of a PNG, which says its size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no PNG, JPEG, WebP or GIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no PNG, JPEG, WebP or GIF"),
        (file("red", kind="BMP"), "no PNG, JPEG, WebP or GIF"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "no PNG, JPEG, WebP or GIF"),
        (b"\x89PNG\r\n\x1a\n" + b"no header", "does not say its size"),
        (b"\xff\xd8\xff", "does not say its size"),
        (png_of(0, 7), "does not say its size"),
        (png_of(20_000, 20_000), "20000 by 20000 pixels is more than 64 megapixels"),
    ],
)
def test_what_can_not_be_shown_is_refused(data: bytes, says: str) -> None:
    """Guards servers: a small file may unpack to more than a server has memory for."""
    with pytest.raises(ConfigError, match=rf"^here: .*{says}"):
        image(data, "here")


def photo(**options: Any) -> bytes:
    """A JPEG with a thumbnail, as cameras write them."""
    written = io.BytesIO()
    Image.effect_noise((90, 60), 99).save(written, "JPEG", exif=b"Exif\0\0" + file("red", (40, 30), "JPEG"), **options)
    return written.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        photo(),
        photo(progressive=True),
        b"\xff\xff\xff\xda".join(photo().rsplit(b"\xff\xda", 1)),
        *(file("red", (90, 60), kind) for kind in ("PNG", "JPEG", "WEBP")),
    ],
)
def test_a_file_that_breaks_off_is_refused(data: bytes) -> None:
    """Guards runs: a server fails on it as if it were broken itself, and a draft that fails is thought to be gone."""
    assert image(data + b"\0 more behind it").data.startswith(data)
    for end in (-20, len(data) * 3 // 4):
        with pytest.raises(ConfigError, match=r"^here: .* breaks off before its end; send the whole file"):
            image(data[:end], "here")


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "MOST_BYTES", 100)
    with pytest.raises(ConfigError, match="more than 100; send a smaller one"):
        image(file("red"))
