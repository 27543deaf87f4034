"""What a server says of itself is told, and what it was sent in secret is not."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from aiohttp import web
from drawings import file

from specreason_graph.contract.config import EndpointConfig
from specreason_graph.contract.errors import EndpointError, MalformedResponse
from specreason_graph.endpoint.failures import Failures
from specreason_graph.endpoint.http import Http

from .fakes import serving

KEY = "sk-abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    "changes",
    [
        {"api_key": KEY},
        {"headers": {"X-Key": KEY}},
        {"headers": {"Authorization": f"Bearer {KEY}"}},
        {"headers": {"authorization": f"bearer {KEY}", "X-Key": KEY[:9]}},
        {"api_key": KEY[:9], "headers": {"X-Key": KEY}},
    ],
    ids=["key", "header", "header with a scheme", "another begins alike", "the key begins alike"],
)
def test_no_part_of_a_secret_is_told(changes: dict[str, Any]) -> None:
    """Also where the server tells the key without its scheme, as most do, and where one begins with another."""
    failures = Failures("base endpoint http://h", EndpointConfig(base_url="http://h", **changes))
    told = failures.redacted(f"Incorrect API key provided: {KEY}. You sent Bearer {KEY}")
    assert "Incorrect API key" in told
    for part in ("abc", "klm", "xyz"):
        assert part not in told


@pytest.mark.parametrize("before", range(40, 100, 7))
async def test_half_a_key_at_the_end_of_what_is_quoted_is_none(before: int) -> None:
    """Guards logs: an answer is quoted up to a length, and the key may stand across it."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text="x" * before + KEY)

    async with serving(answer) as url:
        http = Http("base", EndpointConfig(base_url=url, api_key=KEY, patience=0))
        with pytest.raises(EndpointError, match="not JSON") as failed:
            await http.get("/")
        await http.aclose()
    assert "sk-" not in str(failed.value)


def test_an_answer_that_is_quoted_in_an_error_of_its_shape_has_no_key() -> None:
    http = Http("base", EndpointConfig(base_url="http://h", api_key=KEY))
    with (
        pytest.raises(MalformedResponse, match=r"/x answers in another shape \(ValueError: ") as failed,
        http.shape("/x"),
    ):
        int(KEY)
    assert KEY not in str(failed.value)


async def test_the_end_of_a_stream_is_one_however_it_is_spaced() -> None:
    """Guards streams behind proxies that write events anew."""

    async def answer(_: web.Request) -> web.StreamResponse:
        body = b'data:{"one": 1}\n\ndata:[DONE]\n\n'
        return web.Response(body=body, headers={"Content-Type": "text/event-stream"})

    async with serving(answer) as url:
        http = Http("base", EndpointConfig(base_url=url, patience=0))
        assert [event async for event in http.events("/", {})] == [{"one": 1}]
        await http.aclose()


def test_no_image_is_told() -> None:
    """Guards logs: some servers quote a request that they refuse, and a picture may be private."""
    failures = Failures("base endpoint http://h", EndpointConfig(base_url="http://h"))
    for data in ("iVBORw0KGgo+/AA==", "iVBORw0KGgo\\/AA", "iVBORw0KGgo%2FAA%3D"):
        told = str(failures.refusal(422, f"url: 'data:image/png;base64,{data}' is none, input: data:,x"))
        assert "data:image/png;base64,***' is none, input" in told
        assert "iVBOR" not in told


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_no_image_is_told_where_its_base64_stands_alone(kind: str) -> None:
    """As a proxy quotes it that has taken the URL apart."""
    failures, data = Failures("base", EndpointConfig(base_url="http://h")), b64encode(file("red", kind=kind)).decode()
    for spelled in (data, data.replace("/", "\\/")):
        told = str(failures.refusal(500, f"can't read '{spelled}' in /v1/generate"))
        assert told.endswith("can't read '***' in /v1/generate")
