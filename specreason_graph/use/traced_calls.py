"""Calls of a chat model that runs several models: tracers see each request to one of them as a child of the call.

So callbacks are told the reply without its usage, since they would count everything twice; who called is given it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.prompt_values import ChatPromptValue, PromptValue
from langchain_core.runnables import RunnableConfig

from specreason_graph.loop.reply import usage_metadata
from specreason_graph.loop.tracing import told_below
from specreason_graph.use.traceable import traceable

_Message = TypeVar("_Message", bound=AIMessage)


class TracedCalls(BaseChatModel):
    """A chat model that is called so; what makes its replies leaves their usage out."""

    def _convert_input(self, model_input: LanguageModelInput) -> PromptValue:  # of streams, which end in no `generate`
        return ChatPromptValue(messages=traceable(super()._convert_input(model_input).to_messages()))

    def generate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        """One reply to each conversation."""
        return super().generate([traceable(it) for it in messages], *args, **kwargs)

    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        """One reply to each conversation."""
        return await super().agenerate([traceable(it) for it in messages], *args, **kwargs)

    def invoke(self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any) -> AIMessage:
        """One reply, from any thread: one event loop in the background talks to the models for all of them."""
        with told_below(config) as config:
            return _with_usage(super().invoke(input, config, **kwargs))

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AIMessage:
        """One reply."""
        with told_below(config) as config:
            return _with_usage(await super().ainvoke(input, config, **kwargs))

    def stream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        """The reasoning step by step as it is kept, then the answer and calls token by token."""
        with told_below(config) as config:
            chunks = super().stream(input, config, **kwargs)
            first = next(chunks)
        yield _with_usage(first)
        for chunk in chunks:
            yield _with_usage(chunk)

    async def astream(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        """The reasoning step by step as it is kept, then the answer and calls token by token."""
        with told_below(config) as config:
            chunks = super().astream(input, config, **kwargs)
            first = await anext(chunks)
        yield _with_usage(first)
        async for chunk in chunks:
            yield _with_usage(chunk)


def _with_usage(message: _Message) -> _Message:
    """A reply, or a stream's last chunk, with all that the models of its run have read and written."""
    run = message.response_metadata.get("specreason")
    if run is None:
        return message
    usage = usage_metadata(run["usage"], run["answer_tokens"])
    return message.model_copy(update={"usage_metadata": {**usage, **(message.usage_metadata or {})}})
