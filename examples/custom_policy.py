"""python examples/custom_policy.py: an acceptance policy of your own, a function of the evidence and the run so far.

This one is stricter with steps that hold numbers, and still stricter after each step that was accepted in a row, so
that base has a look at long chains of drafts. It runs on the `SPECREASON_…` servers, or else on the embedded pair.
"""

import asyncio
from collections.abc import Sequence
from itertools import takewhile

from langchain_core.messages import HumanMessage

from specreason_graph import Evidence, FunctionPolicy, Settings, Step, create_specreason
from specreason_graph.judging.catalog import builtin


def careful(evidence: Evidence, before: Sequence[Step]) -> float:
    """Base's log-probability of the drafted token that it finds least likely, less what there is to be wary of."""
    spots = evidence["spots"] or []
    lowest = min(spot["base_logprob"] for spot in spots)
    numbers = any(character.isdigit() for spot in spots for character in spot["text"])
    in_a_row = sum(1 for _ in takewhile(lambda step: step["accepted"], reversed(before)))
    return lowest - 0.5 * numbers - 0.2 * in_a_row


async def main() -> None:
    policy = FunctionPolicy("careful", builtin().judge("likelihood"), threshold=-2.5, score=careful)
    settings = Settings(policy="careful", reasoning_budget=512)
    graph = create_specreason(policies=[policy], settings=settings).compile()
    question = "A train has 7 wagons with 24 seats each. 39 seats are taken. How many are free?"
    result = await graph.ainvoke({"messages": [HumanMessage(question)]})
    for step in result["specreason_steps"]:
        print(f"[{step['source']:5} {step['score']}] {step['text'].strip()}")
    print("=>", result["specreason_answer"])


asyncio.run(main())
