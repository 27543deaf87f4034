"""python examples/as_a_tool.py: an agent that calls SpecReason as a tool when a question is hard.

It runs on the `SPECREASON_…` servers, or else on the embedded pair. So that no third model is needed, `agent` stands
for the agent's own: put a chat model with `bind_tools([reason])` there.
"""

import asyncio

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from specreason_graph import Settings, create_specreason, specreason_tool

reason = specreason_tool(create_specreason(settings=Settings(reasoning_budget=512)).compile())


async def agent(state: MessagesState) -> dict[str, list[AIMessage]]:
    last = state["messages"][-1]
    if isinstance(last, ToolMessage):
        return {"messages": [AIMessage(f"I thought about it: {last.text}")]}
    return {"messages": [AIMessage("", tool_calls=[{"name": reason.name, "args": {"question": last.text}, "id": "1"}])]}


async def main() -> None:
    builder = StateGraph(MessagesState)
    builder.add_node("agent", agent)
    builder.add_node("tools", ToolNode([reason]))
    builder.add_edge(START, "agent").add_edge("tools", "agent")
    builder.add_conditional_edges("agent", tools_condition)
    question = "A train has 7 wagons with 24 seats each. 39 seats are taken. How many are free?"
    async for part in builder.compile().astream(
        {"messages": [HumanMessage(question)]}, stream_mode=["custom", "updates"], version="v2"
    ):
        if part["type"] == "custom" and "step" in part["data"]:  # the tool's steps come through the agent's stream
            step = part["data"]["step"]
            print(f"  [{step['source']:5}] {step['text'].strip()}")
        elif part["type"] == "updates":
            for name, update in part["data"].items():
                print(f"{name}:", update["messages"][-1].text or update["messages"][-1].tool_calls)


asyncio.run(main())
