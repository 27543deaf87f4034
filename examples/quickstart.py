"""python examples/quickstart.py: one question through the loop, on the `SPECREASON_…` servers or the embedded pair."""

import asyncio

from langchain_core.messages import HumanMessage

from specreason_graph import create_specreason

graph = create_specreason().compile()


async def main() -> None:
    question = "A train has 7 wagons with 24 seats each. 39 seats are taken. How many are free?"
    result = await graph.ainvoke({"messages": [HumanMessage(question)]})
    for step in result["specreason_steps"]:
        print(f"[{step['source']:5} {step['score']}] {step['text'].strip()}")
    print("=>", result["specreason_answer"])


asyncio.run(main())
