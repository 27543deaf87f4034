"""python examples/image.py: a question about a picture, on `SPECREASON_…` servers whose models see (docs/images.md)."""

import asyncio
import base64
import struct
import zlib

from langchain_core.messages import HumanMessage

from specreason_graph import ConfigError, create_specreason

SIDE = 112
WHITE, RED = b"\xff\xff\xff", b"\xd0\x10\x10"


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def squares(count: int) -> bytes:
    """A PNG of red squares in a row; yours will be a file: `Path("photo.jpg").read_bytes()`."""
    wide = SIDE // count
    row = b"".join(RED if (x % wide) < wide // 2 else WHITE for x in range(SIDE))
    lines = [b"\0" + (row if SIDE // 4 < y < SIDE // 2 else WHITE * SIDE) for y in range(SIDE)]
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"".join(lines))), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


async def main() -> None:
    picture = {"type": "image", "base64": base64.b64encode(squares(3)).decode(), "mime_type": "image/png"}
    question = {"type": "text", "text": "How many red squares are in the picture?"}
    try:
        result = await create_specreason().compile().ainvoke({"messages": [HumanMessage([picture, question])]})
    except ConfigError as refusal:  # the embedded pair reads text only
        print(f"these models can't: {refusal}")
        return
    for step in result["specreason_steps"]:
        print(f"[{step['source']:5} {step['score']}] {step['text'].strip()}")
    print("=>", result["specreason_answer"])


asyncio.run(main())
