"""LangChain's middleware around the model: limits, retries, summaries, hooks, and a person before a tool."""

from __future__ import annotations

from typing import Any

from langchain.agents import AgentState, create_agent
from langchain.agents.middleware import (
    ContextEditingMiddleware,
    HumanInTheLoopMiddleware,
    LLMToolSelectorMiddleware,
    ModelCallLimitMiddleware,
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    TodoListMiddleware,
    ToolCallLimitMiddleware,
    before_model,
    wrap_model_call,
)
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from specreason_graph.testing import Fault, ScriptedPair

from .scripted import ENGINES, LOOP, TOOLS, Call, acting, calls_of, price, replies, served

DONE = "Seven engines cost 37800."
FOREVER = acting([price("engine")])
THREAD: Any = {"configurable": {"thread_id": "1"}}


def agent_of(model: Any, *middleware: Any, **values: Any) -> Any:
    return create_agent(model, TOOLS, middleware=middleware, **values)


def first_prompt(servers: ScriptedPair) -> str:
    return servers.base.model.tokenizer.spell(servers.base.completions[0].prompts[0]).decode()


async def test_a_limit_of_the_models_calls() -> None:
    async with served(FOREVER) as (model, _):
        state = await agent_of(model, ModelCallLimitMiddleware(run_limit=3)).ainvoke(ENGINES)
    assert calls_of(state) == [price("engine")] * 3


async def test_a_limit_of_a_tools_calls() -> None:
    async with served(acting([price("engine")], [price("wagon")], DONE)) as (model, _):
        limit = ToolCallLimitMiddleware(tool_name="unit_price", run_limit=1)
        state = await agent_of(model, limit).ainvoke(ENGINES)
    assert [message.status for message in state["messages"] if isinstance(message, ToolMessage)] == ["success", "error"]
    assert state["messages"][-1].text == DONE


async def test_a_failed_call_is_tried_again() -> None:
    """Servers that are gone for longer than the endpoints' own retries."""
    async with served(LOOP) as (model, servers):
        servers.base.fail(Fault("status", status=400, message="no"), times=1)
        state = await agent_of(model, ModelRetryMiddleware(max_retries=2, initial_delay=0.0)).ainvoke(ENGINES)
    assert state["messages"][-1].text == DONE


async def test_another_model_takes_over() -> None:
    async with served(LOOP) as (model, servers), served(LOOP) as (other, _):
        servers.base.fail(Fault("status", status=400, message="no"), times=None)
        state = await agent_of(model, ModelFallbackMiddleware(other)).ainvoke(ENGINES)
    assert state["messages"][-1].text == DONE


async def test_a_long_thread_is_summed_up_by_a_model_of_ours() -> None:
    chat = [message for turn in range(4) for message in (("user", f"Is {turn} a number?"), ("assistant", "Yes."))]
    async with served(acting("They talked of numbers.")) as (short, _), served(LOOP) as (model, servers):
        middleware = SummarizationMiddleware(short, trigger=("messages", 9), keep=("messages", 1))
        state = await agent_of(model, middleware).ainvoke({"messages": [*chat, *ENGINES["messages"]]})
        prompt = first_prompt(servers)
    assert "They talked of numbers." in prompt
    assert "Is 0 a number?" not in prompt
    assert state["messages"][-1].text == DONE


async def test_old_results_are_cleared() -> None:
    async with served(LOOP) as (model, _):
        state = await agent_of(model, ContextEditingMiddleware()).ainvoke(ENGINES)
    assert state["messages"][-1].text == DONE


async def test_a_hook_before_the_model_adds_a_message() -> None:
    @before_model
    def remind(state: AgentState[Any], runtime: Any) -> dict[str, Any] | None:
        return {"messages": [HumanMessage("In euros.")]} if len(state["messages"]) == 1 else None

    async with served(LOOP) as (model, servers):
        state = await agent_of(model, remind).ainvoke(ENGINES)
        prompt = first_prompt(servers)
    assert "In euros." in prompt
    assert state["messages"][-1].text == DONE


async def test_a_hook_around_the_model_chooses_tools_and_settings() -> None:
    @wrap_model_call
    async def once(request: Any, handler: Any) -> Any:
        last = isinstance(request.messages[-1], ToolMessage)
        given = request.override(
            tools=[] if last else request.tools[:1],
            tool_choice=None if last else "unit_price",
            model_settings={"reasoning_budget": 64},
            system_message=SystemMessage("You sell trains."),
        )
        return await handler(given)

    async with served(acting([price("engine")], "5400.")) as (model, servers):
        state = await agent_of(model, once).ainvoke(ENGINES)
        prompts = [
            servers.base.model.tokenizer.spell(record.prompts[0]).decode() for record in servers.base.completions
        ]
    assert calls_of(state) == [price("engine")]
    assert state["messages"][-1].text == "5400."
    assert all("You sell trains." in prompt and '"product"' not in prompt for prompt in prompts)


async def test_a_model_of_ours_selects_the_tools() -> None:
    script = acting([price("engine")], "5400.")
    async with served(acting('{"tools": ["unit_price"]}')) as (selector, _), served(script) as (model, servers):
        selecting = LLMToolSelectorMiddleware(model=selector, max_tools=1)
        await agent_of(model, selecting).ainvoke(ENGINES)
        prompt = first_prompt(servers)
    assert '"unit_price"' in prompt
    assert '"product"' not in prompt


async def test_a_list_of_things_to_do() -> None:
    todos = [{"content": "look up", "status": "completed"}]
    script = acting([Call("write_todos", {"todos": todos})], DONE)
    async with served(script) as (model, _):
        state = await agent_of(model, TodoListMiddleware()).ainvoke(ENGINES)
    assert state["todos"] == todos


async def test_a_person_approves_edits_and_rejects() -> None:
    asking = HumanInTheLoopMiddleware(interrupt_on={"unit_price": True, "product": True})
    script = acting([price("wagon")], [Call("product", {"a": 5400, "b": 7})], DONE)
    async with served(script) as (model, _):
        agent = agent_of(model, asking, checkpointer=InMemorySaver())
        waiting = await agent.ainvoke(ENGINES, THREAD)
        [request] = waiting["__interrupt__"][0].value["action_requests"]
        assert (request["name"], request["args"]) == price("wagon")
        edited = {"type": "edit", "edited_action": {"name": "unit_price", "args": {"item": "engine"}}}
        waiting = await agent.ainvoke(Command(resume={"decisions": [edited]}), THREAD)
        assert waiting["messages"][-2].text.endswith("5400")
        refused = {"type": "reject", "message": "By hand, please."}
        state = await agent.ainvoke(Command(resume={"decisions": [refused]}), THREAD)
    assert state["messages"][-2].status == "error"
    assert state["messages"][-1].text == DONE
    assert isinstance(state["messages"][-1], AIMessage)
    assert len({reply.id for reply in replies(state)}) == 3
