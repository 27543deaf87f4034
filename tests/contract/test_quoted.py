"""What messages quote of a request: no text that could be an image or a key."""

from __future__ import annotations

import base64

import pytest
from drawings import file

from specreason_graph.contract.quoted import kind_of, quotable, quotable_id

BYTES = base64.b64encode(file("red")).decode()


@pytest.mark.parametrize("name", ["image_url", "text-plain", "web_search_20250305", "mimeType"])
def test_a_name_is_quoted(name: str) -> None:
    assert quotable(name, "another") == name


@pytest.mark.parametrize("name", [BYTES, BYTES[:24], f"data:image/png;base64,{BYTES}", "a" * 99, "", ["text"], None])
def test_what_is_no_name_is_not(name: object) -> None:
    assert quotable(name, "another") == "another"


def test_ids_are_as_long_as_those_of_providers() -> None:
    assert quotable_id("chatcmpl-tool-0123456789abcdef0123456789abcdef").startswith("chatcmpl")
    assert quotable_id(BYTES) == f"an id of {len(BYTES)} characters"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a truth value"),
        (1.5, "a number"),
        (BYTES, "a text"),
        ([BYTES], "a list"),
        ({"image_url": BYTES, BYTES: 1}, "an object of image_url"),
        ({BYTES: 1}, "an object"),
        (dict.fromkeys("abcdefg"), "an object of a, b, c, d, e"),
    ],
)
def test_a_value_is_told_by_its_kind(value: object, kind: str) -> None:
    assert kind_of(value) == kind
