"""The chat model among other runnables: chains, retries, fallbacks, batches, threads and graphs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from chat import served, served_beside
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph

from specreason_graph import ChatSpecReason, EndpointConfig, EndpointError, Pair, PairConfig
from specreason_graph.contract.errors import EndpointUnreachable
from specreason_graph.testing import Fault, Script, ScriptedPair

ANSWER = "There are 12 legs."
PROMPT = ChatPromptTemplate([("system", "Count."), ("user", "How many legs have {count} cows?")])
ANIMALS = ("cow", "hen", "pig", "goat", "duck", "horse", "sheep", "goose")
MANY = [f"The {animal} has its legs, too." for animal in ANIMALS]


@pytest.fixture(scope="module")
def beside() -> Iterator[tuple[ChatSpecReason, ScriptedPair]]:
    with served_beside() as it:
        yield it


@pytest.fixture
def model(beside: tuple[ChatSpecReason, ScriptedPair]) -> ChatSpecReason:
    return beside[0]


async def test_a_chain_of_prompt_model_and_parser(model: ChatSpecReason) -> None:
    """The parser gets the answer, and not the reasoning."""
    chain = PROMPT | model | StrOutputParser()
    assert await chain.ainvoke({"count": 3}) == ANSWER
    assert "".join([piece async for piece in chain.astream({"count": 3})]) == ANSWER


def test_a_sync_chain(model: ChatSpecReason) -> None:
    chain = PROMPT | model | StrOutputParser()
    assert chain.invoke({"count": 3}) == ANSWER
    pieces = list(chain.stream({"count": 3}))
    assert "".join(pieces) == ANSWER
    assert len([piece for piece in pieces if piece]) > 3


async def test_a_chains_own_recursion_limit_does_not_end_the_reasoning() -> None:
    """It is 25, and these steps take more super-steps than the 5 of this call."""
    script = Script(MANY, answer="40", scores=[9, 0] * 4)
    async with served(script, Script([f"{step} Moo!" for step in MANY])) as (model, _):
        chain = RunnableLambda(lambda question: question) | model
        reply = await chain.ainvoke("How many legs?", {"recursion_limit": 5})
    assert reply.response_metadata["specreason"]["steps"] == len(MANY)


async def test_a_failure_is_tried_again_with_retry() -> None:
    async with served() as (model, servers):
        servers.base.fail(Fault("status", status=500))
        trying = model.with_retry(retry_if_exception_type=(EndpointError,), wait_exponential_jitter=False)
        assert (await trying.ainvoke("How many legs?")).text == ANSWER


async def test_another_model_takes_over_with_fallbacks(model: ChatSpecReason) -> None:
    nowhere = EndpointConfig(base_url="http://127.0.0.1:9")
    down = ChatSpecReason(pair=Pair(PairConfig(base=nowhere, draft=nowhere, preset="thinking")))
    both = down.with_fallbacks([model], exceptions_to_handle=(EndpointUnreachable,))
    assert (await both.ainvoke("How many legs?")).text == ANSWER
    assert "".join([chunk.text async for chunk in both.astream("How many legs?")]) == ANSWER


async def test_a_config_reaches_the_callbacks(model: ChatSpecReason) -> None:
    told: list[tuple[Any, ...]] = []

    class Handler(BaseCallbackHandler):
        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            told.append((kwargs["name"], kwargs["tags"], kwargs["metadata"]["who"], kwargs["metadata"]["ls_provider"]))

    named = model.with_config(run_name="planner", tags=["plan"], metadata={"who": "ada"}, callbacks=[Handler()])
    await named.ainvoke("How many legs?")
    assert told == [("planner", ["plan"], "ada", "specreason")]


async def test_branches_run_side_by_side(model: ChatSpecReason) -> None:
    both = RunnableParallel(one=PROMPT | model, other=PROMPT | model | StrOutputParser())
    found = await both.ainvoke({"count": 3})
    assert (found["one"].text, found["other"]) == (ANSWER, ANSWER)


def test_a_batch_keeps_its_order_and_its_bound() -> None:
    with served_beside() as (model, servers):
        replies = model.batch([f"How many legs have {n} cows?" for n in range(6)], {"max_concurrency": 2})
        requests = servers.base.completions
    assert [reply.text for reply in replies] == [ANSWER] * 6
    runs = {record.session: [r for r in requests if r.session == record.session] for record in requests}
    spans = [(records[0].began, records[-1].ended or 0.0) for records in runs.values()]
    assert len(spans) == 6
    assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) <= 2


def test_what_fails_in_a_batch_can_be_a_result(model: ChatSpecReason) -> None:
    found = model.batch(["How many legs?", " "], return_exceptions=True)
    assert found[0].text == ANSWER
    assert "the question is empty" in str(found[1])


async def test_calls_from_any_thread_share_one_loop(model: ChatSpecReason) -> None:
    """A loop a call would open its connections anew."""
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(model.invoke, "How many legs?") for _ in range(8)]
        assert {call.result().text for call in calls} == {ANSWER}
    assert [thread.name for thread in threading.enumerate()].count("specreason") == 1


async def test_sync_calls_work_where_a_loop_is_running(model: ChatSpecReason) -> None:
    """A notebook's cell."""
    assert model.invoke("How many legs?").text == ANSWER
    assert "".join(chunk.text for chunk in model.stream("How many legs?")) == ANSWER


async def test_inside_a_graph_it_streams_through_and_writes_no_checkpoints_of_its_own(model: ChatSpecReason) -> None:
    async def ask(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    builder.add_edge("ask", END)
    saver = InMemorySaver()
    config: Any = {"recursion_limit": 3, "configurable": {"thread_id": "1"}}
    question: Any = {"messages": [("user", "How many legs?")]}
    stream: Any = builder.compile(checkpointer=saver).astream(question, config, stream_mode="messages")
    told = [message async for message, _ in stream]
    assert "".join(message.content for message in told) == ANSWER
    reasoning = "".join(message.additional_kwargs.get("reasoning_content", "") for message in told)
    assert reasoning == "There are 3 cows.\n\n3 * 4 = 12 legs.\n\nSo 12."
    assert len(list(saver.list(config))) == 3
