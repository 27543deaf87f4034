"""Which blocks are images: a tool's rows are its own, and an image is one whatever its block has beside it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from drawings import file
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from specreason_graph.models.conversation import chat_messages
from specreason_graph.models.image_block import Source, is_encoded, is_image, shown, source
from specreason_graph.models.images import holds_images

from .test_conversation import PRESET

BYTES = base64.b64encode(file("red")).decode()
URL = "https://example.com/cow.png"
IMAGES: list[dict[str, Any]] = [
    {"type": "image", "base64": BYTES},
    {"type": "image", "base64": BYTES, "title": "A cow"},
    {"type": "image", "url": f"data:image/png;base64,{BYTES}", "title": "A cow"},
    {"type": "image", "url": URL},
    {"type": "image", "source_type": "url", "url": URL, "id": "1", "metadata": {}},
    {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
    {"type": "image", "source": {"type": "url", "url": URL}, "cache_control": {"type": "ephemeral"}},
    {"type": "image", "file_id": "file-1"},
    {"image": {"format": "png", "source": {"bytes": file("red")}}},
]
ROWS: list[dict[str, Any]] = [
    {"image": {"source": URL}},
    {"image": {"source": "wikimedia", "licence": "cc"}},
    {"type": "image", "src": URL, "title": "A cow"},
    {"type": "image", "url": URL, "title": "A cow"},
    {"type": "image", "url": "cow.png"},
    {"type": "image", "path": "a.png", "tag": "v1.2"},
    {"type": "image", "source_type": "url"},
    {"type": "file", "name": "a.txt", "size": 3},
    {"type": "file", "content": "A long text. " * 99},
    {"type": "text", "body": "x"},
]


@pytest.mark.parametrize("block", IMAGES)
def test_an_image_of_a_tool_is_shown(block: dict[str, Any]) -> None:
    assert shown(ToolMessage([block], tool_call_id="1")) == shown(HumanMessage([block])) == [block]
    assert not holds_images([AIMessage([block])]), "what a model draws is told as a word"
    earlier: Any = [HumanMessage("x"), ToolMessage([block], tool_call_id="1"), HumanMessage("y")]
    assert chat_messages(earlier, PRESET)[1]["content"] == "(image)"


@pytest.mark.parametrize("block", ROWS)
def test_a_tools_row_is_told_as_json(block: dict[str, Any]) -> None:
    """Guards agents: what a search gives may say `image` of anything."""
    result = ToolMessage([block], tool_call_id="1")
    assert not holds_images([result])
    told = chat_messages([HumanMessage("x"), result], PRESET)[1]["content"]
    assert told == str(block).replace("'", '"')


@pytest.mark.parametrize("block", [{"type": "file", "base64": BYTES}, {"type": "image", "data": BYTES}])
def test_bytes_of_a_tool_are_no_row(block: dict[str, Any]) -> None:
    """Guards contexts: a megabyte of base64 is no text to reason about."""
    with pytest.raises(ValueError, match=r"not (file|image); leave it out"):
        chat_messages([HumanMessage("x"), ToolMessage([block], tool_call_id="1")], PRESET)


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ({"type": "image", "source": {"type": "base64", "data": BYTES}}, ("base64", BYTES)),
        ({"type": "image", "source_type": "base64", "data": BYTES, "id": "1"}, ("base64", BYTES)),
        ({"type": "image", "source_type": "url", "url": URL, "id": "1"}, ("url", URL)),
        ({"type": "image", "source_type": "id", "id": "file-1"}, ("file_id", "file-1")),
        ({"type": "image", "source": {"type": "file", "file_id": "file-1"}}, ("file_id", "file-1")),
        ({"type": "image", "source_type": "base64"}, None),
    ],
)
def test_where_an_image_is_needs_neither_its_type_nor_that_it_has_no_name(block: Any, found: Any) -> None:
    assert source(block) == (found and Source(*found))


def test_what_holds_bytes_is_found_wherever_it_is() -> None:
    assert is_encoded({"a": [{"b": BYTES}]})
    assert is_encoded({"a": file("red")})
    assert not is_encoded({"a": "A long text. " * 99, "b": 1})
    assert not is_image({"type": ["image"]})
