"""python examples/judge_again.py: what other thresholds would have accepted of a run's steps, without any model.

The run is made on the `SPECREASON_…` servers, or else on the embedded pair.
"""

import asyncio

from langchain_core.messages import HumanMessage

from specreason_graph import Settings, create_specreason
from specreason_graph.judging.catalog import builtin
from specreason_graph.judging.policy import ScoreThreshold
from specreason_graph.judging.rejudge import rejudge


def main() -> None:
    settings = Settings(judge="likelihood", reasoning_budget=1024)
    graph = create_specreason(settings=settings).compile()
    question = "A baker sells 14 rolls an hour for 6 hours, and 31 are left. How many rolls did he bake?"
    state = asyncio.run(graph.ainvoke({"messages": [HumanMessage(question)]}))
    print(state["messages"][-1].text, "\n")
    judge = builtin().judge("likelihood")
    for threshold in (-1.0, -2.0, -3.0, -5.0):
        found = rejudge(state["specreason_steps"], judge, ScoreThreshold(judge, threshold))
        print(f"at {threshold:g}: {found['would_accept']} of {found['judged']} drafts accepted")


if __name__ == "__main__":
    main()
