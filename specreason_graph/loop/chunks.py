"""A run's events as the chunks of its reply, in LangChain's shapes."""

from __future__ import annotations

from collections.abc import Iterator

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.utils.json import parse_partial_json

from specreason_graph.contract.events import Event
from specreason_graph.loop.reply import Pieces
from specreason_graph.models.conversation import REASONING

_ENDS = ("]", "}", '"]', '"}', '\\"]', '\\"}')
"""What stands behind no beginning of an object, outside of a text, in one, and behind a backslash in one."""


class Chunks:
    """Of one reply; joined they are it. Of a call that is invalid, the arguments end with the reason, in brackets.

    Args:
        pieces: of its text.
        first: index of the first call; for messages whose content is blocks, behind those of reasoning and text.
    """

    def __init__(self, pieces: Pieces, *, first: int = 0) -> None:
        self._pieces = pieces
        self._first = first
        self._indexes: dict[str, int] = {}
        self._arguments: dict[int, str] = {}

    def of(self, event: Event) -> Iterator[AIMessageChunk]:
        """What an event adds: a piece of the reasoning, of the answer, or of a call."""
        if event["event"] == "tool_call_begun":
            self._indexes[event["id"]] = event["index"]
            yield self._call(event["index"], "", name=event["name"], id=event["id"])
        elif event["event"] == "tool_call_token":
            yield self._call(event["index"], event["text"])
        else:
            reasoning, answer = self._pieces.of(event)
            if reasoning:
                yield AIMessageChunk(content="", additional_kwargs={REASONING: reasoning})
            if answer:
                yield AIMessageChunk(content=answer)

    def last(self, reply: AIMessage) -> Iterator[AIMessageChunk]:
        """What is known at the end alone: which calls are invalid, and the metadata."""
        for wrong in reply.invalid_tool_calls:
            yield self._sealed(wrong)
        yield AIMessageChunk(
            content="",
            usage_metadata=reply.usage_metadata,
            response_metadata=reply.response_metadata,
            chunk_position="last",
        )

    def _sealed(self, wrong: InvalidToolCall) -> AIMessageChunk:
        """The end of a call that must not be made: LangChain would close what is open, and take it for whole."""
        index = self._indexes.get(wrong["id"] or "")
        if index is None:  # its name was cut, so nothing was told of it
            index = max(self._arguments, default=-1) + 1
            said = f"{wrong['args'] or ''}"
            return self._call(index, said + self._seal(said, wrong), name=wrong["name"], id=wrong["id"])
        return self._call(index, self._seal(self._arguments[index], wrong))

    def _seal(self, said: str, wrong: InvalidToolCall) -> str:
        end = next(end for end in _ENDS if not isinstance(parse_partial_json(said + end), dict))
        return f"{end} ({wrong['error']})"

    def _call(self, index: int, text: str, name: str | None = None, id: str | None = None) -> AIMessageChunk:
        self._arguments[index] = self._arguments.get(index, "") + text
        return AIMessageChunk(
            content="", tool_call_chunks=[tool_call_chunk(name=name, args=text, id=id, index=self._first + index)]
        )
