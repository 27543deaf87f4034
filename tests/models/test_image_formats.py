"""Every part of a file is asked: for a size, for its checksum, and for its end."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from drawings import file
from PIL import Image

from specreason_graph import ConfigError
from specreason_graph.models.image_file import MOST_BYTES, image

LARGE = 13_000
PNG_BEGINS = b"\x89PNG\r\n\x1a\n"


def written(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """A picture of 90 by 60, and others behind it where `more` says how many."""
    first = Image.radial_gradient("L").resize((90, 60)).convert(mode)
    if more := options.pop("more", 0):
        options |= {"save_all": True, "append_images": [first.rotate(90 * turn) for turn in range(1, more + 1)]}
    data = io.BytesIO()
    first.save(data, kind, **options)
    return data.getvalue()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int) -> bytes:
    """A PNG's."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of these chunks."""
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def three(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(3, "little") for number in numbers)


def lossy(width: int, height: int) -> tuple[bytes, bytes]:
    """A WebP's picture, as far as its size."""
    return b"VP8 ", b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)


def lossless(width: int, height: int) -> tuple[bytes, bytes]:
    """The same, of the other coding."""
    return b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)


GIF = written("GIF", "P", more=2)
SCREEN = GIF[:6] + struct.pack("<HH", 1, 1) + b"\0\0\0"
"""A GIF's, of one pixel and no colours."""


def frame(left: int, top: int, width: int, height: int, data: bytes = b"\1a\0") -> bytes:
    """A GIF's picture."""
    return b"," + struct.pack("<4HB", left, top, width, height, 0) + b"\x08" + data


START_OF_FRAME = b"\xff\xc0\0\x0b\x08" + struct.pack(">HH", LARGE, LARGE) + b"\1\1\x11\0"


@pytest.mark.parametrize(
    "data",
    [
        written("PNG"),
        written("PNG", "P"),
        written("PNG", more=2),
        written("JPEG", "CMYK"),
        written("JPEG", progressive=True, icc_profile=b"x" * 200_000, comment=b"x" * 60_000),
        written("MPO", more=1),
        written("WEBP"),
        written("WEBP", "RGBA"),
        written("WEBP", "RGBA", lossless=True),
        written("WEBP", more=2),
        GIF,
        written("GIF", "P", more=2, transparency=0, loop=0, comment=b"made by a test" * 99),
        GIF[:-1],
        GIF[:6] + struct.pack("<HH", 1, 1) + GIF[10:],
        written("JPEG").replace(b"\xff\xdb", b"garbage\xff\0\xff\xd0\xff\xff\xff\xdb", 1),
    ],
)
def test_whatever_is_whole_is_taken_at_the_size_that_a_reader_finds(data: bytes) -> None:
    """Also a GIF that lacks no more than its end; servers look at the first picture."""
    found = image(data)
    with Image.open(io.BytesIO(data)) as read:
        read.load()
        assert (found.width, found.height) == read.size == (90, 60)


@pytest.mark.parametrize(
    "data",
    [
        SCREEN + frame(0, 0, LARGE, LARGE) + b";",
        SCREEN + frame(0, 0, 1, 1) + frame(LARGE - 1, LARGE - 1, 1, 1) + b";",
        SCREEN + frame(0, 0, 1, LARGE) + frame(0, 0, LARGE, 1) + b";",
        PNG_BEGINS + header(1, 1) + header(LARGE, LARGE) + chunk(b"IDAT") + chunk(b"IEND"),
        riff((b"VP8X", b"\0\0\0\0" + three(0, 0)), lossy(LARGE, LARGE)),
        riff((b"VP8X", b"\0\0\0\0" + three(0, 0)), lossless(LARGE, LARGE)),
        riff((b"VP8X", b"\0\0\0\0" + three(LARGE - 1, LARGE - 1)), lossy(1, 1)),
        riff((b"VP8X", b"\0\0\0\0" + three(0, 0)), (b"ANMF", three(LARGE // 2 - 1, LARGE // 2 - 1, 1, 1) + b"\0" * 4)),
        written("JPEG").replace(b"\xff\xda", START_OF_FRAME + b"\xff\xda"),
    ],
)
def test_the_largest_of_its_sizes_counts(data: bytes) -> None:
    """Guards servers: readers make room for the picture, whatever the file says first."""
    with pytest.raises(ConfigError, match="13000 by 13000 pixels is more than 64 megapixels"):
        image(data)


def damaged(data: bytes, at: int) -> bytes:
    """With one bit flipped."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (damaged(written("PNG"), 29), "is damaged; send another file"),  # a header's checksum
        (damaged(written("PNG"), 99), "is damaged"),
        (damaged(written("WEBP"), 24), "is broken"),
        (damaged(written("WEBP", lossless=True), 20), "is broken"),
        (damaged(written("WEBP"), 19), "is broken"),  # a chunk longer than the file says that it is
        (SCREEN + frame(0, 0, 1, 1) + b"?;", "is damaged"),
        (GIF[:13], "holds no picture; send another file"),
        (SCREEN + frame(0, 0, 1, 1, b"\0") + b";", "holds no picture"),
        (PNG_BEGINS + header(9, 9) + chunk(b"IEND"), "holds no picture"),
        (riff((b"VP8X", b"\0\0\0\0" + three(8, 8))), "holds no picture"),
        (written("JPEG")[: written("JPEG").index(b"\xff\xda")] + b"\xff\xd9", "holds no picture"),
    ],
)
def test_what_is_damaged_is_refused(data: bytes, says: str) -> None:
    """Guards runs: a server fails on it as if it were broken itself."""
    with pytest.raises(ConfigError, match=f"^here: an image of image/[a-z]+ {says}"):
        image(data, "here")


@pytest.mark.parametrize(
    "data", [written("GIF", "P"), *(file("red", (30, 20), kind) for kind in ("PNG", "JPEG", "WEBP"))]
)
def test_a_file_may_be_cut_nowhere(data: bytes) -> None:
    whole = len(data) - data.startswith(b"GIF")  # whose end may be missing
    for end in range(3, whole):
        with pytest.raises(ConfigError):
            image(data[:end])


def filled(begins: bytes, part: bytes) -> bytes:
    """As many of a part as a file may have."""
    return begins + part * ((MOST_BYTES - len(begins)) // len(part))


def as_riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


SLOW: list[Callable[[], bytes]] = [
    lambda: filled(b"\xff\xd8", b"\xff"),
    lambda: filled(b"\xff\xd8\xff", b"\0"),
    lambda: filled(b"\xff\xd8", b"\xff\0"),
    lambda: filled(b"\xff\xd8", b"\xff" * 999 + b"\0"),
    lambda: filled(b"\xff\xd8", b"\xff\xe0\0\2"),
    lambda: filled(written("JPEG")[:-2], b"\xff"),
    lambda: filled(PNG_BEGINS + header(9, 9), chunk(b"tEXt")),
    lambda: filled(SCREEN + b"!\xfe", b"\1a"),
    lambda: filled(SCREEN, frame(0, 0, 1, 1)),
    lambda: as_riff(filled(b"", b"ANMF\x10\0\0\0" + b"\0" * 16)[:-99]),
]


@pytest.mark.parametrize("data", SLOW)
def test_twenty_mebibytes_of_anything_are_looked_at_in_no_time(data: Callable[[], bytes]) -> None:
    """Guards a gateway's other runs: a byte, or a part, each by a turn of Python's takes ten seconds."""
    made, began = data(), time.process_time()
    with pytest.raises(ConfigError):
        image(made)
    assert time.process_time() - began < 0.5
