"""Each request to a model as a LangChain run below the node that made it, with its tokens; free where none listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from copy import copy
from dataclasses import dataclass
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


async def heard(pair: Pair) -> None:
    """Wait until callbacks know of all that a node has asked of its view of the pair."""
    for endpoint in (pair.base, pair.draft):
        if isinstance(endpoint, TracedEndpoint):
            await endpoint.told()


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


@dataclass(slots=True)
class _Told:
    """What a run ends with."""

    text: str = ""
    usage: Usage | None = None


class TracedEndpoint(Around):
    """An endpoint that tells callbacks of its generations and readings (see `protocol.Endpoint` for the methods)."""

    def __init__(self, endpoint: Endpoint, writes: str, callbacks: AsyncCallbackManager) -> None:
        super().__init__(endpoint)
        self._writes = writes
        self._callbacks = callbacks
        self._telling: set[asyncio.Future[Any]] = set()

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
        read, written = size(prompt), 0
        stream = self._endpoint.generate(
            prompt, max_tokens=max_tokens, sampling=sampling, boundary=boundary, close=close, form=form
        )
        async with self._run(self._writes, read, Usage(read, None, 0)) as told, aclosing(stream):
            async for said in stream:
                if isinstance(said, End):
                    told.usage = said.usage
                else:
                    written += 1
                    told.text, told.usage = told.text + said.text, Usage(read, None, written)
                yield said

    async def look(self, prompt: Sequence[int]) -> Usage:
        """A run without text."""
        async with self._run("look", len(prompt)) as told:  # how many tokens the images are is what is asked
            told.usage = usage = await self._endpoint.look(prompt)
        return usage

    async def read(self, prompts: Sequence[Sequence[int]], *, top: int = 20) -> Readings:
        """A run without text."""
        async with self._run("judge", sum(map(size, prompts))) as told:
            readings = await self._endpoint.read(prompts, top=top)
            told.usage = readings.usage
        return readings

    async def likelihood(self, prompt: Sequence[int]) -> Likelihood | None:
        """A run without text, begun when it is over: only then it is known whether there is one."""
        likelihood = await self._endpoint.likelihood(prompt)
        if likelihood is not None:
            async with self._run("judge", size(prompt)) as told:
                told.usage = likelihood.usage
        return likelihood

    async def told(self) -> None:
        """Wait until the callbacks know of every request so far: tracers have no place for one whose node is over."""
        await asyncio.sleep(0)  # a stream that was begun just now makes its request when its task comes to it
        while self._telling:
            await asyncio.wait(self._telling)

    @asynccontextmanager
    async def _run(self, what: str, tokens: int, usage: Usage | None = None) -> AsyncIterator[_Told]:
        """A run that ends with what it took, also where it is cut; with an error where that is not known."""
        begun, told = asyncio.ensure_future(self._begin(what, tokens)), _Told(usage=usage)
        try:
            await self._heard(begun)  # whoever pays for the request has it from now on, also where it is cut here
            yield told
        except BaseException as error:
            await self._heard(asyncio.ensure_future(self._end(begun, told, error)))
            raise
        await self._heard(asyncio.ensure_future(self._end(begun, told)))

    async def _heard(self, telling: asyncio.Future[Any]) -> None:
        """Told to the end, also where whoever tells it is cancelled."""
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)
        await asyncio.shield(telling)

    async def _end(
        self, begun: asyncio.Future[AsyncCallbackManagerForLLMRun], told: _Told, error: BaseException | None = None
    ) -> None:
        run = await begun
        if error is not None and (told.usage is None or isinstance(error, Exception)):
            await run.on_llm_error(error)
        elif told.usage is not None:
            await run.on_llm_end(_result(run, told.text, told.usage))

    async def _begin(self, what: str, tokens: int) -> AsyncCallbackManagerForLLMRun:
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
