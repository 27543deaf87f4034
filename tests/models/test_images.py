"""Images in messages: every shape that LangChain and OpenAI's clients send, and what can't be shown."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from drawings import file
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from specreason_graph import ConfigError
from specreason_graph.models import images
from specreason_graph.models.images import holds_bytes, holds_images, taken_out

RED, BLUE = file("red"), file("blue")
TEXT = base64.b64encode(RED).decode()
DATA = f"data:image/png;base64,{TEXT}"
SHAPES: list[dict[str, Any]] = [
    {"type": "image", "base64": TEXT, "mime_type": "image/png"},
    {"type": "image", "source_type": "base64", "data": TEXT, "mime_type": "image/png"},
    {"type": "image", "base64": base64.encodebytes(RED).decode(), "mime_type": "image/png"},
    {"type": "image", "url": DATA},
    {"type": "image_url", "image_url": {"url": DATA}},
    {"type": "image_url", "image_url": {"url": DATA, "detail": "low"}},
    {"type": "image_url", "image_url": DATA},
    {"type": "input_image", "image_url": DATA},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": TEXT}},
    {"type": "image", "source": {"type": "base64", "data": TEXT}},
    {"type": "image", "source_type": "base64", "data": TEXT, "id": "1"},
    {"image": {"format": "png", "source": {"bytes": RED}}},
    {"type": "image", "base64": TEXT, "url": None, "file_id": None},
    {"type": "image_url", "image_url": {"url": DATA, "detail": None}, "file_id": None},
    {"type": "input_image", "image_url": {"url": DATA}},
    {"type": "image_url", "image_url": {"url": f"DATA:image/png;name=a.png;BASE64,{TEXT}"}},
]


@pytest.mark.parametrize("block", SHAPES)
async def test_every_shape_of_an_image_is_read(block: dict[str, Any]) -> None:
    message = HumanMessage([{"type": "text", "text": "What is "}, block, "?"])
    assert holds_images([message])
    assert holds_bytes(block)
    [told], found = await taken_out([message], (), {})
    assert [image.data for image in found.all] == [RED]
    assert told.text == f"What is {found.stem}0E?"
    assert message.content[1] == block, "the caller's own message stays as it is"


async def test_images_of_all_who_show_some_are_taken_in_order() -> None:
    red, blue = SHAPES[0], {**SHAPES[0], "base64": base64.b64encode(BLUE).decode()}
    said: list[Any] = [
        SystemMessage([red]),
        HumanMessage([blue, red]),
        AIMessage([red]),
        ToolMessage([blue], tool_call_id="1"),
        HumanMessage("SHOWN0E?"),
    ]
    told, found = await taken_out(said, (), {})
    assert [image.data for image in found.all] == [RED, BLUE, RED, BLUE]
    assert found.stem not in str(said), "what somebody typed stands for no image"
    assert found.stem != (await taken_out(said, (), {}))[1].stem, "nor what somebody could have read of another run"
    assert told[2] is said[2], "a model is said to have drawn it; nobody shows it"
    assert not holds_images([AIMessage([red]), HumanMessage("x")])


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ({"type": "image", "file_id": "file-1"}, "file id"),
        ({"type": "image", "file_id": f"specreason:{'0' * 64}"}, "a run that has not ended; resume that run"),
        ({"type": "image", "url": "https://example.com/a.png"}, "image_urls"),
        ({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, "image_urls"),
        ({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}, "image_urls"),
        ({"type": "image", "base64": "no base64!", "mime_type": "image/png"}, "base64 can't be decoded"),
        ({"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}}, "not base64"),
        ({"type": "image_url", "image_url": {"url": "data:,"}}, "not base64"),
        ({"type": "image", "base64": base64.b64encode(b"text").decode()}, "no PNG"),
        ({"type": "input_image", "file_id": "file-1"}, "file id"),
        ({"type": "image", "source_type": "base64"}, "neither base64 nor a url"),
        ({"type": "image_url", "image_url": None}, "neither base64 nor a url"),
        ({"type": "image_url", "image_url": {"url": None}}, "neither base64 nor a url"),
        ({"type": "image_url", "image_url": [DATA]}, "neither base64 nor a url"),
        ({"type": "image"}, "neither base64 nor a url"),
        ({"type": "image_url"}, "neither base64 nor a url"),
        ({"type": "image", "data": b"x"}, "neither base64 nor a url"),
    ],
)
async def test_what_can_not_be_shown_is_refused_with_its_reason(block: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        await taken_out([HumanMessage([block])], (), {})


def test_bytes_are_known_beside_a_name_too() -> None:
    """Guards checkpoints: what only seems to be named would be written into each of them."""
    for more in ({"file_id": "x"}, {"url": "https://example.com/a.png"}, {"url": ""}):
        assert holds_bytes({"type": "image", "base64": TEXT, **more})
    assert not holds_bytes({"type": "image", "url": "https://example.com/a.png"})
    assert not holds_bytes({"type": "image", "file_id": "x"})
    assert not holds_bytes({"type": "text", "text": TEXT})


@pytest.mark.parametrize(("most", "name"), [(2, "_MOST"), (2 * len(RED), "_MOST_BYTES")])
async def test_no_more_is_looked_at_than_a_conversation_may_have(
    most: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Guards memory: thousands of addresses fit into a small request."""
    monkeypatch.setattr(images, name, most)
    said = [HumanMessage([SHAPES[0]]) for _ in range(3)]
    assert len((await taken_out(said[:2], (), {}))[1].all) == 2
    with pytest.raises(ConfigError, match="send fewer"):
        await taken_out(said, (), {})
