"""python examples/planner_in_an_agent.py: SpecReason plans, and an agent whose model calls tools does the work.

It runs on the `SPECREASON_…` servers, or else on the embedded pair. `work` stands for the agent's own model, so that no
third one is needed: put a chat model with `bind_tools` there.
"""

import asyncio

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from specreason_graph import Settings, create_specreason, specreason_node

PRICES = {"wagon": 1200, "engine": 5400}


class AgentState(MessagesState, total=False):
    """A conversation, and the plan."""

    plan: str | None


@tool
def price(part: str) -> int:
    """Look up what a part costs."""
    return PRICES[part]


async def work(state: AgentState) -> dict[str, list[AIMessage]]:
    found = [message.text for message in state["messages"] if isinstance(message, ToolMessage)]
    calls = [] if found else [{"name": "price", "args": {"part": part}, "id": part} for part in PRICES]
    said = f"Following the plan with the prices {' and '.join(found)}." if found else ""
    return {"messages": [AIMessage(said, tool_calls=calls)]}


async def main() -> None:
    reason = create_specreason(settings=Settings(reasoning_budget=256)).compile()
    agent = StateGraph(AgentState)
    agent.add_node(
        "plan",
        specreason_node(
            reason,
            question=lambda state: f"Plan in short steps how to answer this: {state['messages'][-1].text}",
            answer=lambda result: {"plan": result["specreason_answer"]},
        ),
    )
    agent.add_node("work", work)
    agent.add_node("tools", ToolNode([price]))
    agent.add_edge(START, "plan").add_edge("plan", "work").add_edge("tools", "work")
    agent.add_conditional_edges("work", tools_condition)
    state = await agent.compile().ainvoke({"messages": [HumanMessage("What do an engine and 7 wagons cost?")]})
    print("plan:", state["plan"])
    for message in state["messages"]:
        message.pretty_print()


asyncio.run(main())
