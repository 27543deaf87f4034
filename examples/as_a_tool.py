"""python examples/as_a_tool.py: an agent that acts at once, and calls SpecReason as a tool when a question is hard.

It runs on the `SPECREASON_…` servers, or else on the embedded pair. The agent's own model may be any that calls tools;
here it is the same pair without reasoning of its own.
"""

import asyncio

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage

from specreason_graph import ChatSpecReason, Settings, create_specreason, specreason_tool

QUESTION = "A train has 7 wagons with 24 seats each. 39 seats are taken. How many are free?"


async def main() -> None:
    reason = specreason_tool(create_specreason(settings=Settings(reasoning_budget=256)).compile())
    model = ChatSpecReason(settings=Settings(turn_reasoning_budget=0, answer_budget=128))
    agent = create_agent(model, tools=[reason], system_prompt="Give every calculation to the tool, word for word.")
    async for part in agent.astream(
        {"messages": [HumanMessage(QUESTION)]}, stream_mode=["custom", "updates"], version="v2"
    ):
        if part["type"] == "custom" and "step" in part["data"]:  # the tool's steps come through the agent's stream
            step = part["data"]["step"]
            print(f"  [{step['source']:5}] {step['text'].strip()}")
        elif part["type"] == "updates":
            for name, update in part["data"].items():
                print(f"{name}:", update["messages"][-1].text or update["messages"][-1].tool_calls)


asyncio.run(main())
