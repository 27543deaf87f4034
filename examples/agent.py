"""python examples/agent.py: an agent whose model reasons with SpecReason and then calls tools.

It runs on the `SPECREASON_…` servers, or else on the embedded pair.
"""

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage

from specreason_graph import ChatSpecReason, Settings


def unit_price(item: str) -> int:
    """Look up what a part of a train costs."""
    return {"engine": 5400, "wagon": 1200}[item]


def product(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


model = ChatSpecReason(settings=Settings(reasoning_budget=128))
agent = create_agent(model, tools=[unit_price, product])
question = "Look up what one engine costs, and multiply it by 7. What do 7 engines cost?"
for message in agent.invoke({"messages": [HumanMessage(question)]})["messages"]:
    message.pretty_print()
