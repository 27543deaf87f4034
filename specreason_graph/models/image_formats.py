"""What the files of the four formats say of themselves, part by part: their sizes, and whether all of them is there.

No pixel is decoded. A file is asked for every size that a reader may make room for, and not for its first one only.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from specreason_graph.endpoint.image import MimeType

_MOST_PARTS = 30_000
"""Chunks and segments that are looked at: each takes a Python turn, so a file of tiny ones would take seconds. A PNG of
20 MiB has 2,600 as they are usually written, of 8 KiB."""
_MOST_BLOCKS = 200_000
"""Of a GIF, whose turns are short: one of 20 MiB has 82,000, of 255 bytes, and some more for each picture."""

_FILL = re.compile(rb"\xff+")
_SIZED = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # a JPEG's start of frame, of whatever coding
_BARE = {0x00, 0x01, *range(0xD0, 0xD8)}  # markers that no length follows
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA

_BREAKS_OFF = "breaks off before its end; send the whole file"
_DAMAGED = "is damaged; send another file"
_EMPTY = "holds no picture; send another file"
_TOO_MANY = "is in more parts than any program writes; save it anew"


class Look(NamedTuple):
    """What a file says."""

    width: int
    height: int
    """Of the box around all that it shows; 0 where it does not say."""
    fault: str | None
    """For messages: what is wrong with it behind that, and what to do."""


class _Fault(Exception):
    pass


def look(data: bytes, mime_type: MimeType) -> Look:
    """Go through a file that begins as one of its format does."""
    width = height = 0
    try:
        for across, down in _SIZES[mime_type](data):
            width, height = max(width, across), max(height, down)
    except _Fault as fault:
        return Look(width, height, str(fault))
    except (IndexError, struct.error):  # a part, or its head, lies behind the end
        return Look(width, height, _BREAKS_OFF)
    return Look(width, height, None)


def _png(data: bytes) -> Iterator[tuple[int, int]]:
    view, at, shown = memoryview(data), 8, False
    for _ in range(_MOST_PARTS):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if kind == b"IHDR":
            yield struct.unpack_from(">II", data, at + 8)
        (checksum,) = struct.unpack_from(">I", data, end)
        if zlib.crc32(view[at + 4 : end]) != checksum:
            raise _Fault(_DAMAGED)
        if kind == b"IEND":
            break
        shown, at = shown or kind == b"IDAT", end + 4
    else:
        raise _Fault(_TOO_MANY)
    if not shown:
        raise _Fault(_EMPTY)


def _jpeg(data: bytes) -> Iterator[tuple[int, int]]:
    at = 2
    for _ in range(_MOST_PARTS):
        # A marker may have any number of fill bytes before it, and readers skip what is between it and a segment.
        # By two calls, since a search by pattern takes a tenth of a second for what a find goes through in none.
        if (begin := data.find(b"\xff", at)) < 0 or (fill := _FILL.match(data, begin)) is None:
            raise _Fault(_BREAKS_OFF)
        marker, at = data[fill.end()], fill.end() + 1
        if marker in (_SOS, _SOI, _EOI):
            break
        if marker in _SIZED:
            height, width = struct.unpack_from(">HH", data, at + 3)
            yield width, height
        if marker not in _BARE:
            at += struct.unpack_from(">H", data, at)[0]
    else:
        raise _Fault(_TOO_MANY)
    if marker != _SOS:
        raise _Fault(_EMPTY)
    if data.find(b"\xff\xd9", at) < 0:  # what is before the scan may hold a whole JPEG, as a thumbnail
        raise _Fault(_BREAKS_OFF)


def _gif(data: bytes) -> Iterator[tuple[int, int]]:
    yield struct.unpack_from("<HH", data, 6)
    at, in_blocks, shown = 13 + _colours(data[10]), False, False
    for _ in range(_MOST_BLOCKS):
        if in_blocks:
            in_blocks, at = data[at] > 0, at + data[at] + 1
        elif data[at : at + 1] == b"!":
            in_blocks, at = True, at + 2
        elif data[at : at + 1] == b",":
            left, top, width, height = struct.unpack_from("<4H", data, at + 1)
            yield left + width, top + height
            at += 10 + _colours(data[at + 9]) + 1
            in_blocks, shown = True, shown or data[at] > 0
        else:
            break
    else:
        raise _Fault(_TOO_MANY)
    if data[at : at + 1] not in (b";", b""):  # some lack the end, and nothing else
        raise _Fault(_DAMAGED)
    if not shown:
        raise _Fault(_EMPTY)


def _colours(flags: int) -> int:
    """Bytes of the colour table that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _webp(data: bytes) -> Iterator[tuple[int, int]]:
    at, end, shown = 12, 8 + int.from_bytes(data[4:8], "little"), False
    for _ in range(_MOST_PARTS):
        if at >= end:
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        at += 8
        if at + length > end:
            raise _Fault(_DAMAGED)
        if kind == b"VP8X":
            yield 1 + _three(data, at + 4), 1 + _three(data, at + 7)
        elif kind == b"ANMF":
            left, top, width, height = (_three(data, at + by) for by in (0, 3, 6, 9))
            yield 2 * left + 1 + width, 2 * top + 1 + height
            length = 16  # the frame's own chunks come next
        elif kind == b"VP8 ":
            start, width, height = struct.unpack_from("<3sHH", data, at + 3)
            if start != b"\x9d\x01\x2a":
                raise _Fault(_DAMAGED)
            yield width & 0x3FFF, height & 0x3FFF
            shown = True
        elif kind == b"VP8L":
            start, sizes = struct.unpack_from("<BI", data, at)
            if start != 0x2F:
                raise _Fault(_DAMAGED)
            yield 1 + (sizes & 0x3FFF), 1 + (sizes >> 14 & 0x3FFF)
            shown = True
        at += length
        if at > len(data):
            raise _Fault(_BREAKS_OFF)
        at += length % 2
    else:
        raise _Fault(_TOO_MANY)
    if not shown:
        raise _Fault(_EMPTY)


def _three(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")


_SIZES: Mapping[MimeType, Callable[[bytes], Iterator[tuple[int, int]]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/gif": _gif,
    "image/webp": _webp,
}
