"""python examples/planner_in_an_agent.py: SpecReason plans at length, and an agent with tools does the work.

It runs on the `SPECREASON_…` servers, or else on the embedded pair. The agent's own model may be any that calls tools;
here it is the same pair, which acts at once: all its reasoning is in the plan.
"""

import asyncio

from langchain_core.messages import HumanMessage, SystemMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from specreason_graph import ChatSpecReason, Settings, create_specreason, specreason_node

PRICES = {"wagon": 1200, "engine": 5400}


class AgentState(MessagesState, total=False):
    """A conversation, and the plan."""

    plan: str | None


def price(part: str) -> int:
    """Look up what a part costs: `wagon` or `engine`."""
    return PRICES[part]


async def main() -> None:
    reason = create_specreason(settings=Settings(reasoning_budget=128, answer_budget=128)).compile()
    model = ChatSpecReason(settings=Settings(turn_reasoning_budget=0, answer_budget=128)).bind_tools([price])

    async def work(state: AgentState) -> dict[str, list[object]]:
        told = SystemMessage(f"Do what this plan says with the tool, then answer.\n{state['plan']}")
        return {"messages": [await model.ainvoke([told, *state["messages"]])]}

    agent = StateGraph(AgentState)
    agent.add_node(
        "plan",
        specreason_node(
            reason,
            question=lambda state: f"In two short steps, how do you find this out? {state['messages'][-1].text}",
            answer=lambda result: {"plan": result["specreason_answer"]},
        ),
    )
    agent.add_node("work", work)
    agent.add_node("tools", ToolNode([price]))
    agent.add_edge(START, "plan").add_edge("plan", "work").add_edge("tools", "work")
    agent.add_conditional_edges("work", tools_condition)
    state = await agent.compile().ainvoke({"messages": [HumanMessage("What does an engine cost?")]})
    print("plan:", state["plan"])
    for message in state["messages"]:
        message.pretty_print()


asyncio.run(main())
