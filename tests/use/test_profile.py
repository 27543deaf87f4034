"""What a chat model says of itself before its servers are asked: agents send it no more than that."""

from __future__ import annotations

from typing import Any

import pytest

from specreason_graph import ChatSpecReason, EndpointConfig, Pair, PairConfig, Settings
from specreason_graph.judging.catalog import builtin


def pair(base: str | None, draft: str | None = None, preset: str | None = None) -> Pair:
    """Of models with these names; nobody answers there."""
    servers = [EndpointConfig(base_url="http://127.0.0.1:9", model=name) for name in (base, draft)]
    return Pair(PairConfig(base=servers[0], draft=servers[1], preset=preset))


@pytest.mark.parametrize(
    ("base", "draft", "preset", "sees"),
    [
        ("Qwen/Qwen3-VL-32B-Thinking-FP8", "Qwen/Qwen3-VL-2B-Thinking", None, True),
        ("Qwen/Qwen3-VL-32B-Instruct", None, None, True),
        (None, None, "qwen3-vl-instruct", True),
        ("Qwen/Qwen3-32B", "Qwen/Qwen3-1.7B", None, False),
        (None, None, None, None),
        ("my/model", "my/other", "thinking", None),
        ("my/model", None, "no such preset", None),
    ],
)
def test_images_are_promised_where_the_models_are_known(
    base: str | None, draft: str | None, preset: str | None, sees: bool | None
) -> None:
    """Guards images in agents, which leave them out where a profile says that there can be none."""
    model = ChatSpecReason(pair=pair(base, draft, preset))
    assert (model.profile or {}).get("image_inputs") is sees


def test_what_the_user_says_counts() -> None:
    said: Any = {"image_inputs": True, "max_input_tokens": 9000}
    model = ChatSpecReason(pair=pair("Qwen/Qwen3-32B"), profile=said)
    assert said.items() <= (model.profile or {}).items()
    copied = model.model_copy(update={"settings": Settings(threshold=8)})
    assert said.items() <= (copied.profile or {}).items()


def test_a_copy_on_another_pair_speaks_for_that_one() -> None:
    model = ChatSpecReason(pair=pair("Qwen/Qwen3-32B"))
    copied = model.model_copy(update={"pair": pair("Qwen/Qwen3-VL-8B-Instruct")})
    assert (copied.profile or {})["image_inputs"]
    assert not (model.profile or {})["image_inputs"]


def test_a_copy_with_another_preset_speaks_for_that_one() -> None:
    model = ChatSpecReason(pair=pair(None))
    copied = model.model_copy(update={"settings": Settings(preset="qwen3-vl-instruct")})
    assert (copied.profile or {})["image_inputs"]
    assert "image_inputs" not in (copied.model_copy(update={"settings": Settings()}).profile or {})
    said: Any = {"max_input_tokens": 9000}
    assert copied.model_copy(update={"profile": said}).profile == {**(copied.profile or {}), **said}


def test_every_pair_that_is_known_by_name_says_whether_it_sees() -> None:
    unknown = {preset.name for preset in builtin().presets.values() if preset.sees is None}
    assert unknown == {preset.name for preset in builtin().presets.values() if not preset.base}
