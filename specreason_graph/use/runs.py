"""The loop behind a chat model: a conversation in, a reply or its chunks out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langgraph.types import StreamMode

from specreason_graph.contract.errors import ConfigError, SpecReasonError
from specreason_graph.contract.settings import Settings
from specreason_graph.contract.state import SpecReasonState, Step
from specreason_graph.judging.catalog import builtin
from specreason_graph.loop.chunks import Chunks
from specreason_graph.loop.graph import create_specreason
from specreason_graph.loop.opened import preset_of
from specreason_graph.loop.reply import Pieces, answers_in_last_step
from specreason_graph.models.pair import Pair
from specreason_graph.models.presets import Judge, Preset

told_steps: ContextVar[Callable[[Step], None] | None] = ContextVar("specreason_told_steps", default=None)
"""Is told each kept step of the runs of its context; a callback of LangChain's would have every request traced."""

told_states: ContextVar[Callable[[SpecReasonState], None] | None] = ContextVar("specreason_told_states", default=None)
"""Is told the state of the runs of its context, whenever a node has ended."""


class Runs:
    """On some pairs, of which the settings of each run name one."""

    def __init__(
        self, pairs: Mapping[str, Pair], presets: Sequence[Preset], judges: Sequence[Judge], policies: Sequence[Any]
    ) -> None:
        self._pairs = pairs
        self._catalog = builtin().extended(presets, judges, policies)
        graph = create_specreason(pairs=pairs, presets=presets, judges=judges, policies=policies)
        self._graph = graph.compile(checkpointer=False, name="specreason")

    def preset(self, settings: Settings) -> Preset | None:
        """The preset of a call, where it is known before a server is asked what it serves."""
        pair = self._pairs.get(settings.pair)
        if pair is None:
            return None
        base, draft = pair.config.base.model or "", pair.config.draft.model or ""
        try:
            return self._catalog.preset(settings.preset or pair.preset, base, draft)
        except ConfigError:  # the run says what is wrong
            return None

    async def reply(self, messages: Sequence[BaseMessage], settings: Settings) -> AIMessage:
        """The last message of a run, without its usage (see `traced_calls`)."""
        try:
            state = await self._final(messages, settings)
        except SpecReasonError as error:
            _tell(error.steps)
            raise
        _tell(state["specreason_steps"])
        return _without_usage(state["messages"][-1])

    async def chunks(
        self, messages: Sequence[BaseMessage], settings: Settings, *, first_call: int = 0
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        """The same in pieces; `first_call` is the index of the first call among them."""
        chunks = Chunks(Pieces(last_step_waits=await self._answers_in_last_step(settings)), first=first_call)
        watching = told_states.get()
        modes: list[StreamMode] = ["custom", "updates", *(["values"] if watching else [])]  # type: ignore[list-item]
        parts = self._graph.astream(_question(messages), context=settings, stream_mode=modes, version="v2")
        async with aclosing(parts):  # type: ignore[type-var]
            async for part in parts:
                if part["type"] == "custom":
                    _tell([part["data"]["step"]] if "step" in part["data"] else [])
                    for chunk in chunks.of(part["data"]):
                        yield ChatGenerationChunk(message=chunk)
                elif part["type"] == "values" and watching:
                    watching(part["data"])
                elif part["type"] == "updates" and "finalize" in part["data"]:
                    reply = part["data"]["finalize"]["messages"][-1]  # before it are those whose images are back
                    for chunk in chunks.last(_without_usage(reply)):
                        yield ChatGenerationChunk(message=chunk)

    async def _final(self, messages: Sequence[BaseMessage], settings: Settings) -> Any:
        """The state in the end; where somebody watches, those before it are told."""
        watching, state = told_states.get(), None
        if watching is None:
            return await self._graph.ainvoke(_question(messages), context=settings)
        async for state in self._graph.astream(_question(messages), context=settings, stream_mode="values"):
            watching(state)
        return state

    async def _answers_in_last_step(self, settings: Settings) -> bool:
        if settings.pair not in self._pairs:
            return False  # the graph says what is wrong
        return answers_in_last_step(await preset_of(self._pairs[settings.pair], settings, self._catalog), settings)


def _tell(steps: Sequence[Step]) -> None:
    listener = told_steps.get()
    for step in steps if listener else ():
        listener(step)  # type: ignore[misc]


def _without_usage(reply: AIMessage) -> AIMessage:
    return reply.model_copy(update={"id": None, "usage_metadata": None})  # LangChain names it after its own run


def _question(messages: Sequence[BaseMessage]) -> Any:
    return {"messages": [message.model_copy() for message in messages]}  # the graph gives them ids
