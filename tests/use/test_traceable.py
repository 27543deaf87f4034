"""Every block is one that LangChain can read, or is refused by us: it raises where a block lacks what its shape has."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
from chat import offline, served
from drawings import file
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.prompt_values import ChatPromptValue

from specreason_graph import ChatSpecReason, ConfigError
from specreason_graph.testing import Script, ScriptedServer
from specreason_graph.use.traceable import traceable

BYTES = base64.b64encode(file("red")).decode()
CHOKES: list[dict[str, Any]] = [
    {"type": "image", "source_type": "url"},
    {"type": "image", "source_type": "base64"},
    {"type": "file", "source_type": "id"},
    {"type": "file", "source_type": "text", "text": "x"},
    {"type": "file", "source_type": "url", "url": "x", "id": "1"},
    {"type": "file", "file": {"file_id": "x"}, "file_id": "y"},
    {"type": "image", "text": "a square"},
    {"type": ["image"]},
    {"type": "image", "source_type": ["url"]},
]


@pytest.mark.parametrize("block", CHOKES)
@pytest.mark.parametrize("role", [HumanMessage, SystemMessage, AIMessage])
def test_what_langchain_would_raise_for_is_refused_with_its_place(block: Any, role: Any) -> None:
    with pytest.raises(ConfigError, match=r"^messages\.1\.content\.1: a block of .* is not whole.*; send an image's"):
        traceable([HumanMessage("x"), role(["What? ", block])])


@pytest.mark.parametrize("block", CHOKES)
def test_a_tools_row_is_told_as_text(block: Any) -> None:
    [told] = traceable([ToolMessage([block], tool_call_id="1")])
    assert told.text == str(block).replace("'", '"')


def test_langchain_reads_all_that_is_not_refused() -> None:
    kinds: list[Any] = ["image", "audio", "file", "video", "input_audio", "image_url", "text-plain", "text", None, 5]
    fields: dict[str, tuple[Any, ...]] = {
        "source_type": ("url", "base64", "id", "text", "odd", 5),
        "url": ("https://x", 5),
        "data": (BYTES, None),
        "base64": (BYTES, 5),
        "id": ("1",),
        "file_id": ("2",),
        "text": ("x",),
        "mime_type": ("image/png", None),
        "extras": ({"a": 1}, 5),
        "file": ({"file_id": "x"}, {"file_data": "x"}, {"file_data": f"data:image/png;base64,{BYTES}"}, 5),
        "input_audio": ({"data": BYTES, "format": "wav"}, 5),
        "image_url": ({"url": "x"}, "x", 5),
    }
    values = [(name, value) for name, all in fields.items() for value in all]
    model = FakeListChatModel(responses=["y"])
    for kind, *some in random.Random(1).sample(list(product(kinds, values, values, values)), 300):
        block: Any = {"type": kind, **dict(some)}
        for message in (HumanMessage([block]), AIMessage([block]), ToolMessage([block], tool_call_id="1")):
            with suppress(ConfigError):
                model.invoke(traceable([message]))


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "base64": BYTES},
        {"type": "image", "source_type": "base64", "data": BYTES, "id": "1"},
        {"type": "image", "source": {"type": "base64", "data": BYTES}},
    ],
)
async def test_an_image_without_its_type_is_seen_whichever_way_a_model_is_called(block: Any) -> None:
    def server(role: str) -> ScriptedServer:
        return ScriptedServer(Script(["A square."], answer="One."), sees=True, scale_out=True, model=f"scripted-{role}")

    asked: list[BaseMessage] = [HumanMessage([block, "What is it?"])]
    async with served(server("base"), server("draft")) as (model, _):
        assert (await model.ainvoke(asked)).text == "One."
        assert [reply.text for reply in await model.abatch([asked, asked])] == ["One.", "One."]
        assert "".join([chunk.text async for chunk in model.astream(asked)]) == "One."
        assert (await model.agenerate([asked])).generations[0][0].text == "One."
        prompt = ChatPromptValue(messages=asked)
        assert (await model.agenerate_prompt([prompt])).generations[0][0].text == "One."


@pytest.mark.parametrize(
    "call",
    [
        lambda model, asked: model.invoke(asked),
        lambda model, asked: model.batch([asked]),
        lambda model, asked: next(model.stream(asked)),
        lambda model, asked: model.generate([asked]),
        lambda model, asked: model.generate_prompt([ChatPromptValue(messages=asked)]),
    ],
)
def test_each_sync_way_refuses_as_well(call: Callable[[ChatSpecReason, Any], Any]) -> None:
    with pytest.raises(ConfigError, match="is not whole"):
        call(offline(), [HumanMessage([CHOKES[0]])])
