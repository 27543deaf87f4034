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


def sealed(index: int) -> AIMessageChunk:
    """What the chat model puts behind an invalid call."""
    return more(index, "] (cut: no budget)")


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


def test_several_calls_are_told_apart_by_their_index_and_come_in_their_order() -> None:
    deltas = told([*call(0, '{"n"', ": 3}"), *call(1, "{", "}"), *call(2, "{}"), ended("tool_calls")])
    assert joined(deltas) == {0: '{"n": 3}', 1: "{}", 2: "{}"}
    assert [delta["id"] for delta in deltas if "id" in delta] == ["call_0", "call_1", "call_2"]
    assert [delta["index"] for delta in deltas] == sorted(delta["index"] for delta in deltas)


def test_arguments_are_told_while_they_are_written() -> None:
    calls = StreamedCalls()
    told = [len(calls.deltas(piece)) for piece in [*call(0, "{", '"n"', ": ", "3", "}"), ended("tool_calls")]]
    assert told == [0, 0, 2, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        (['{"n"', ": 3"], {0: '{"n": 3'}),
        (['{"n"', ": 3", "}"], {0: '{"n": 3'}),  # all is there, but not the call's end
        (['{"n"', ": 3", "}", "\n"], {0: '{"n": 3'}),
        (['{"n": {}', "}"], {0: '{"n": {}'}),
        (['{"n": 3}'], {}),
        (["{}"], {}),
        ([], {}),  # many take no arguments for an empty object
    ],
)
@pytest.mark.parametrize("why", ["length", "stop"])
def test_a_call_that_is_invalid_is_no_json_to_anybody(arguments: list[str], seen: dict[int, str], why: str) -> None:
    calls = StreamedCalls()
    pieces = [*call(0, *arguments), sealed(0), ended(why)]
    assert joined([delta for piece in pieces for delta in calls.deltas(piece)]) == seen
    [unmade] = calls.invalid
    assert unmade == {"id": "call_0", "name": "legs", "arguments": "".join(arguments), "error": "cut: no budget"}


def test_valid_calls_beside_an_invalid_one_are_whole() -> None:
    first = [*call(0, '{"n"', ": 3}"), *call(1, "{", "}"), sealed(1), ended("length")]
    assert joined(told(first)) == {0: '{"n": 3}'}
    second = [*call(0, '{"n"', ": 3}"), *call(1, "{", "}"), sealed(0), ended("tool_calls")]
    assert joined(told(second)) == {0: '{"n"', 1: "{}"}
