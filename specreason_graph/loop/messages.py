"""What a run tells: its events, and its reply as a chat model streams it, for `messages` and `astream_events`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.callbacks.manager import ahandle_event
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from specreason_graph.contract.events import Event, Whose
from specreason_graph.contract.state import RunId, Step
from specreason_graph.generation.live import LiveRun
from specreason_graph.loop.chunks import Chunks
from specreason_graph.loop.reply import Pieces
from specreason_graph.loop.so_far import SoFar
from specreason_graph.models.conversation import last_question

_SHOWN = 100
"""Characters of a question that the events of its run carry."""
_TOLD_IN = "__specreason_told_in"


def reply_id(identity: RunId) -> str:
    """The id of a run's reply, which its first piece has already."""
    return f"specreason-{identity['id']}"


def streams(handler: BaseCallbackHandler) -> bool:
    """Whether a handler makes a stream of what it hears, as those of LangGraph and of `astream_events` do."""
    return hasattr(handler, "tap_output_aiter")


def told_by_caller() -> RunnableConfig:
    """The config with which a node or a tool runs the graph: its reply is streamed as theirs, not as a subgraph's."""
    return {"configurable": {_TOLD_IN: ensure_config()}}


class Listeners:
    """Handlers that stream, and as whose run they are told of a reply.

    Tracers and counters are none: they have each request to a model as a run already.
    """

    def __init__(self, config: RunnableConfig, identity: RunId) -> None:
        within = config.get("configurable", {}).get(_TOLD_IN)
        config = within or config
        callbacks, metadata = config.get("callbacks"), config.get("metadata", {})
        # One message has one node, whoever writes its pieces: the one that gives it.
        self._metadata = metadata if within else {**metadata, "langgraph_node": "finalize"}
        self._handlers: list[BaseCallbackHandler] = []
        self._run: dict[str, Any] = {"run_id": UUID(identity["id"])}
        if isinstance(callbacks, BaseCallbackManager):
            self._handlers = [handler for handler in callbacks.handlers if streams(handler)]
            self._run |= {"parent_run_id": callbacks.parent_run_id, "tags": callbacks.tags}

    def __bool__(self) -> bool:
        return bool(self._handlers)

    async def begin(self, messages: Sequence[AnyMessage], live: LiveRun) -> None:
        """Tell that a reply begins: each handler once, whichever node of the run is the first to tell it anything."""
        for handler in self._handlers:
            if handler not in live.listening:
                live.listening.add(handler)
                metadata = {**self._metadata, "ls_model_type": "chat"}  # its own: handlers change it
                asked = {"messages": [list(messages)], "metadata": metadata, "name": "reply", **self._run}
                await ahandle_event([handler], "on_chat_model_start", "ignore_chat_model", {"name": "reply"}, **asked)

    async def piece(self, chunk: AIMessageChunk) -> None:
        """Tell a piece of it."""
        said = ChatGenerationChunk(message=chunk)
        await ahandle_event(self._handlers, "on_llm_new_token", "ignore_llm", said.text, chunk=said, **self._run)

    async def end(self, reply: AIMessage) -> None:
        """Tell that it is whole."""
        result = LLMResult(generations=[[ChatGeneration(message=reply)]])
        await ahandle_event(self._handlers, "on_llm_end", "ignore_llm", result, **self._run)


class _ReplyStream:
    """A node's part of a reply that is told as one run of a chat model: pieces come at once, and are told in order."""

    def __init__(
        self,
        listeners: Listeners,
        message_id: str,
        asked: Sequence[AnyMessage],
        steps: Sequence[Step],
        last_step_waits: bool,
        live: LiveRun,
    ) -> None:
        self._listeners = listeners
        self._id = message_id
        self._asked = asked
        self._steps = steps
        self._waits = last_step_waits
        self._chunks: Chunks | None = None
        self._live = live
        self._said: asyncio.Queue[AIMessage | None] = asyncio.Queue()
        self._teller: asyncio.Task[None] | None = None

    def add(self, event: Event) -> None:
        for chunk in self._known(before=event).of(event):
            self._say(chunk)

    def end(self, reply: AIMessage) -> None:
        for said in (*self._known().last(reply), reply):
            self._say(said)

    def _known(self, *, before: Event | None = None) -> Chunks:
        """Chunks that follow what earlier nodes have told."""
        if self._chunks is None:
            steps = self._steps
            if before is not None and before["event"] == "step_edited":
                steps = steps[: before["step"]["index"]]  # the others were dropped
            self._chunks = Chunks(Pieces.behind(steps, last_step_waits=self._waits))
        return self._chunks

    def _say(self, message: AIMessage) -> None:
        self._said.put_nowait(message)
        if self._teller is None:  # events come where nothing can be awaited, and some handlers have to be
            self._teller = asyncio.create_task(self._tell())

    async def told(self) -> None:
        if self._teller is not None:
            self._said.put_nowait(None)
            await self._teller

    async def _tell(self) -> None:
        await self._listeners.begin(self._asked, self._live)
        while (message := await self._said.get()) is not None:
            if isinstance(message, AIMessageChunk):
                message.id = self._id
                await self._listeners.piece(message)
            else:
                await self._listeners.end(message)


class Telling:
    """How a node tells the events of its run, and with them its reply (`Run.emit`).

    Args:
        write: the node's stream of events.
        config: the node's.
        messages: the conversation.
        so_far: the run up to the node.
        last_step_waits: see `Pieces`.
        live: where the nodes of the run remember who was told that its reply began.

    Raises:
        ConfigError: the conversation has no question.
    """

    def __init__(
        self,
        write: Callable[[Event], None],
        config: RunnableConfig,
        messages: Sequence[AnyMessage],
        so_far: SoFar,
        last_step_waits: bool,
        live: LiveRun,
    ) -> None:
        self.whose = Whose(run=so_far.identity["id"], question=messages[last_question(messages)].text[:_SHOWN])
        self._write = write
        self._reply: _ReplyStream | None = None
        self._id = reply_id(so_far.identity)
        listeners = Listeners(config, so_far.identity)
        if listeners:
            self._reply = _ReplyStream(listeners, self._id, messages, so_far.steps, last_step_waits, live)

    def __call__(self, event: Event) -> None:
        """Tell an event, and whose it is."""
        self._write(cast(Event, {**event, **self.whose}))
        if self._reply is not None:
            self._reply.add(event)

    def reply(self, message: AIMessage) -> None:
        """Tell that the reply is whole; it gets the id of its pieces."""
        message.id = self._id
        if self._reply is not None:
            self._reply.end(message)

    async def told(self) -> None:
        """Wait until all is told: the end of a node is told behind its pieces."""
        if self._reply is not None:
            await self._reply.told()
