"""Calls in a stream: OpenAI's deltas, and nothing that could be executed of a call that was cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk

from specreason_graph.use.gateway.calls import StreamedCalls


def begun(index: int) -> AIMessageChunk:
    chunk = tool_call_chunk(name="legs", args="", id=f"call_{index}", index=index)
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


def more(index: int, arguments: str) -> AIMessageChunk:
    return AIMessageChunk(content="", tool_call_chunks=[tool_call_chunk(args=arguments, index=index)])


def call(index: int, *arguments: str) -> list[AIMessageChunk]:
    return [begun(index), *(more(index, piece) for piece in arguments)]


def ended(why: str) -> AIMessageChunk:
    return AIMessageChunk(content="", response_metadata={"finish_reason": why}, chunk_position="last")


def told(pieces: Sequence[AIMessageChunk]) -> list[dict[str, Any]]:
    calls = StreamedCalls()
    return [delta for piece in pieces for delta in calls.deltas(piece)]


def joined(deltas: Sequence[dict[str, Any]]) -> dict[int, str]:
    arguments: dict[int, str] = {}
    for delta in deltas:
        arguments[delta["index"]] = arguments.get(delta["index"], "") + delta["function"]["arguments"]
    return arguments


def test_the_first_delta_names_the_call_and_the_others_bring_its_arguments() -> None:
    assert told([*call(0, '{"n"', ": 3", "}"), ended("tool_calls")]) == [
        {"index": 0, "id": "call_0", "type": "function", "function": {"name": "legs", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"n"'}},
        {"index": 0, "function": {"arguments": ": 3"}},
        {"index": 0, "function": {"arguments": "}"}},
    ]


def test_several_calls_are_told_apart_by_their_index() -> None:
    deltas = told([*call(0, '{"n"', ": 3}"), *call(1, "{", "}"), *call(2, "{}"), ended("tool_calls")])
    assert joined(deltas) == {0: '{"n": 3}', 1: "{}", 2: "{}"}
    assert [delta["id"] for delta in deltas if "id" in delta] == ["call_0", "call_1", "call_2"]


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (['{"n"', ": 3"], {0: '{"n"'}),
        (['{"n"', ": 3", "}"], {0: '{"n": 3'}),  # all is there, but not the call's end
        (['{"n"', ": 3", "}", "\n"], {0: '{"n": 3'}),
        (['{"n": 3}'], {}),
        (["{}"], {}),
        ([], {}),  # many take no arguments for an empty object
    ],
)
def test_a_call_that_was_cut_is_no_json_to_anybody(arguments: list[str], seen: dict[int, str]) -> None:
    assert joined(told([*call(0, *arguments), ended("length")])) == seen


def test_the_calls_before_one_that_was_cut_are_whole() -> None:
    assert joined(told([*call(0, '{"n"', ": 3}"), *call(1, "{", "}"), ended("length")])) == {0: '{"n": 3}', 1: "{"}
