"""A chat model's tokens are counted once: on the reply for the caller, and by each model's name for callbacks."""

from __future__ import annotations

from typing import Any

import pytest
from chat import QUESTION, served, streamed
from langchain_core.callbacks import AsyncCallbackHandler, get_usage_metadata_callback
from langchain_core.messages import AIMessage
from langchain_core.outputs import LLMResult
from langgraph.graph import START, MessagesState, StateGraph

from specreason_graph import Settings

ALONE = Settings(hedge=False, look_ahead=False)


class Sum(AsyncCallbackHandler):
    """Adds up what every run of a model says, as tracers do."""

    run_inline = True

    def __init__(self) -> None:
        self.total = 0

    async def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        message: Any = response.generations[0][0]
        usage = message.message.usage_metadata
        self.total += usage["total_tokens"] if usage else 0


@pytest.mark.parametrize("how", ["ainvoke", "astream", "streaming", "abatch", "bound"])
async def test_callbacks_add_up_to_what_the_reply_says(how: str) -> None:
    adds_up = Sum()
    config: Any = {"callbacks": [adds_up]}
    values: Any = {"streaming": True} if how == "streaming" else {}
    async with served(settings=ALONE, **values) as (model, _):
        with get_usage_metadata_callback() as by_model:
            if how == "astream":
                reply: AIMessage = (await streamed(model, config=config))[0]
            elif how == "abatch":
                [reply] = await model.abatch([QUESTION], config)
            else:
                reply = await (model.bind(seed=1) if how == "bound" else model).ainvoke(QUESTION, config)
    usage = reply.usage_metadata
    assert usage is not None
    assert adds_up.total == usage["total_tokens"] > 0
    assert set(by_model.usage_metadata) == {"scripted-base", "scripted-draft"}
    assert sum(it["total_tokens"] for it in by_model.usage_metadata.values()) == usage["total_tokens"]


async def test_in_a_graph_the_state_has_the_usage_and_callbacks_the_same_once() -> None:
    adds_up = Sum()
    async with served(settings=ALONE) as (model, _):

        async def ask(state: MessagesState) -> dict[str, Any]:
            return {"messages": [await model.ainvoke(state["messages"])]}

        graph: Any = StateGraph(MessagesState).add_node("ask", ask).add_edge(START, "ask").compile()
        config: Any = {"callbacks": [adds_up]}
        told = [
            part async for part in graph.astream({"messages": [("user", QUESTION)]}, config, stream_mode=["values"])
        ]
    usage = told[-1][1]["messages"][-1].usage_metadata
    assert usage["total_tokens"] == adds_up.total


async def test_one_chunk_of_a_stream_has_all_the_usage() -> None:
    async with served(settings=ALONE) as (model, _):
        whole, chunks = await streamed(model)
    assert [chunk.usage_metadata for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].usage_metadata == whole.usage_metadata is not None
