"""Each request to a model as a LangChain run below the node that made it, with its tokens; free where none listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from copy import copy
from typing import Any

from langchain_core.callbacks import AsyncCallbackManager, AsyncCallbackManagerForLLMRun
from langchain_core.callbacks.manager import ahandle_event
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import (
    ensure_config,
    get_async_callback_manager_for_config,
    var_child_runnable_config,
)
from langchain_core.utils.uuid import uuid7

from specreason_graph.contract.state import SpecReasonState
from specreason_graph.endpoint.around import Around
from specreason_graph.endpoint.ids import size
from specreason_graph.endpoint.protocol import (
    FREE,
    End,
    Endpoint,
    Form,
    Likelihood,
    Marker,
    Readings,
    Sampling,
    Token,
    Usage,
)
from specreason_graph.loop.messages import streams
from specreason_graph.models.pair import Pair


@contextmanager
def told_below(config: RunnableConfig | None) -> Iterator[RunnableConfig]:
    """Around a chat model's call: what it calls in turn is told as children of its run, which gets its id here.

    LangChain tells a model its run when it is invoked, but not when it streams; and LangGraph goes by the config of
    the surrounding context. So a graph that the model runs is no subgraph of the one around it: what streams has the
    model's own chunks, and only tracers have what is below.
    """
    config = ensure_config(config)
    callbacks = get_async_callback_manager_for_config(config)
    run_id = config.get("run_id") or uuid7()
    children = callbacks.copy()
    children.parent_run_id = run_id
    children.handlers = [handler for handler in callbacks.handlers if not streams(handler)]
    children.inheritable_handlers = [handler for handler in callbacks.inheritable_handlers if not streams(handler)]
    token = var_child_runnable_config.set({"callbacks": children})
    try:
        yield {**config, "callbacks": callbacks, "run_id": run_id} if callbacks.handlers else config
    finally:
        var_child_runnable_config.reset(token)


def traced(pair: Pair, config: RunnableConfig) -> Pair:
    """A view of the pair for one node, whose requests are told to the node's callbacks; the pair where it has none."""
    callbacks = _listening(config)
    if callbacks is None:
        return pair
    answers = config.get("metadata", {}).get("langgraph_node") == "finalize"
    view = copy(pair)
    view.base = TracedEndpoint(pair.base, "answer" if answers else "regenerate", callbacks)
    view.draft = TracedEndpoint(pair.draft, "answer" if answers else "draft", callbacks)
    return view


def _listening(config: RunnableConfig | None) -> AsyncCallbackManager | None:
    callbacks = config.get("callbacks") if config else None
    return callbacks if isinstance(callbacks, AsyncCallbackManager) and callbacks.handlers else None


class Edge(Runnable[SpecReasonState, str]):
    """Where the graph goes on: a run of its own where anything listens, and no more than the call where nothing does.

    LangGraph would set a run and a task up for every function (and a thread, for one that is not async).
    """

    def __init__(self, way: Callable[[SpecReasonState], str]) -> None:
        self.name = way.__name__
        self._way = way

    def invoke(self, input: SpecReasonState, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """The name of the way, of those that the edge has."""
        return self._way(input)

    async def ainvoke(self, input: SpecReasonState, config: RunnableConfig | None = None, **kwargs: Any) -> str:
        """Likewise."""
        if _listening(config) is None:
            return self._way(input)
        return await self._acall_with_config(self._told, input, config)

    async def _told(self, state: SpecReasonState) -> str:
        return self._way(state)


class TracedEndpoint(Around):
    """An endpoint that tells callbacks of its generations and readings (see `protocol.Endpoint` for the methods)."""

    def __init__(self, endpoint: Endpoint, writes: str, callbacks: AsyncCallbackManager) -> None:
        super().__init__(endpoint)
        self._writes = writes
        self._callbacks = callbacks

    async def generate(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int,
        sampling: Sampling,
        boundary: str | None = None,
        close: Marker | None = None,
        form: Form = FREE,
    ) -> AsyncGenerator[Token | End, None]:
        """A run that ends with the text; one that is cut ends with what there is of it."""
        begun = asyncio.ensure_future(self._begun(self._writes, size(prompt)))
        text, written, usage = "", 0, None
        stream = self._endpoint.generate(
            prompt, max_tokens=max_tokens, sampling=sampling, boundary=boundary, close=close, form=form
        )
        try:
            await asyncio.shield(begun)  # whoever pays for the request has it from now on, also where it is cut here
            async with aclosing(stream):
                async for said in stream:
                    if isinstance(said, End):
                        usage = said.usage
                    else:
                        text += said.text
                        written += 1
                    yield said
        except Exception as error:
            await (await begun).on_llm_error(error)
            raise
        except BaseException:
            run = await begun
            await run.on_llm_end(_result(run, text, usage or Usage(size(prompt), None, written)))
            raise
        run = await begun
        await run.on_llm_end(_result(run, text, usage or Usage(size(prompt), None, written)))

    async def look(self, prompt: Sequence[int]) -> Usage:
        """A run without text."""
        run = await self._begun("look", len(prompt))  # how many tokens the images are is what is asked
        try:
            usage = await self._endpoint.look(prompt)
        except BaseException as error:
            await run.on_llm_error(error)
            raise
        await run.on_llm_end(_result(run, "", usage))
        return usage

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """A run without text."""
        run = await self._begun("judge", sum(map(size, prompts)))
        try:
            readings = await self._endpoint.read(prompts, top=top)
        except BaseException as error:
            await run.on_llm_error(error)
            raise
        await run.on_llm_end(_result(run, "", readings.usage))
        return readings

    async def likelihood(self, prompt: Sequence[int]) -> Likelihood | None:
        """A run without text, begun when it is over: only then it is known whether there is one."""
        likelihood = await self._endpoint.likelihood(prompt)
        if likelihood is not None:
            run = await self._begun("judge", size(prompt))
            await run.on_llm_end(_result(run, "", likelihood.usage))
        return likelihood

    async def _begun(self, what: str, tokens: int) -> AsyncCallbackManagerForLLMRun:
        parent, run_id = self._callbacks, uuid7()
        metadata = {**parent.metadata, "ls_model_name": (await self.card()).name, "ls_model_type": "llm"}
        prompt = f"({tokens} token ids)"  # their text is in the steps of the run, and would have to be asked for
        await ahandle_event(  # the manager's own `on_llm_start` forgets handlers where some of them run inline
            parent.handlers,
            "on_llm_start",
            "ignore_llm",
            {"name": what},
            [prompt],
            run_id=run_id,
            parent_run_id=parent.parent_run_id,
            tags=parent.tags,
            metadata=metadata,
            name=what,
        )
        return AsyncCallbackManagerForLLMRun(
            run_id=run_id,
            handlers=parent.handlers,
            inheritable_handlers=parent.inheritable_handlers,
            parent_run_id=parent.parent_run_id,
            tags=parent.tags,
            metadata=metadata,
        )


def _result(run: AsyncCallbackManagerForLLMRun, text: str, usage: Usage) -> LLMResult:
    details = InputTokenDetails() if usage.cached_tokens is None else InputTokenDetails(cache_read=usage.cached_tokens)
    message = AIMessage(
        content=text,
        usage_metadata=UsageMetadata(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
            input_token_details=details,
        ),
        response_metadata={"model_name": run.metadata["ls_model_name"]},  # handlers add usage up by it
    )
    return LLMResult(generations=[[ChatGeneration(message=message)]])
