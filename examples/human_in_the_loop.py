"""python examples/human_in_the_loop.py: you decide about the steps that the judge is unsure of.

It runs on the `SPECREASON_…` servers, or else on the embedded pair. Without a terminal every such step is rejected.
"""

import asyncio
import sys
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from specreason_graph import Settings, create_specreason

QUESTION = "A train has 7 wagons with 24 seats each. 39 seats are taken. How many are free?"


def ask(question: dict[str, Any]) -> dict[str, str]:
    print(f"\nStep {question['index'] + 1}, score {question['verdict']['score']:.2f}:\n{question['text'].strip()}")
    if not sys.stdin.isatty():
        print("=> rejected, since nobody is here")
        return {"decision": "reject"}
    while True:
        said = input("[a]ccept, [r]eject, or the text that it should be: ").strip()
        if said in ("a", "r"):
            return {"decision": {"a": "accept", "r": "reject"}[said]}
        if said:
            return {"decision": "edit", "text": said}


async def main() -> None:
    # the band is in the threshold's units: with this judge, log-probabilities, accepted from -1.6 on
    settings = Settings(judge="likelihood", ask_band=(-4.0, -1.0), reasoning_budget=512)
    graph = create_specreason(settings=settings).compile(checkpointer=InMemorySaver())
    thread: RunnableConfig = {"configurable": {"thread_id": "1"}}
    given: Any = {"messages": [HumanMessage(QUESTION)]}
    while True:
        state: Any = await graph.ainvoke(given, thread)
        if "__interrupt__" not in state:
            break
        given = Command(resume=ask(state["__interrupt__"][0].value))
    for step in state["specreason_steps"]:
        print(f"[{step['source']:5}] {step['text'].strip()}")
    print("=>", state["specreason_answer"])


asyncio.run(main())
