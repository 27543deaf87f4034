"""python examples/agent.py: an agent whose model reasons with SpecReason and then calls tools.

It runs on the `SPECREASON_…` servers, or else on the embedded pair.
"""

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage

from specreason_graph import ChatSpecReason, Settings


def seats(wagon: str) -> int:
    """How many seats a wagon of a kind has: `first class` or `second class`."""
    return {"first class": 36, "second class": 84}[wagon]


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


model = ChatSpecReason(settings=Settings(reasoning_budget=128))
agent = create_agent(model, tools=[seats, multiply])
question = "Look up how many seats a second class wagon has. How many seats have 7 of them?"
for message in agent.invoke({"messages": [HumanMessage(question)]})["messages"]:
    message.pretty_print()
