"""python examples/custom_domain.py: another domain, with its own prompt, delimiter, judge request and labels.

Recipes are written line by line, and base grades each line with a letter. It runs on the `SPECREASON_…` servers, or
else on the embedded pair.
"""

import asyncio

from langchain_core.messages import HumanMessage

from specreason_graph import Judge, Preset, Settings, create_specreason

GRADES = Judge(
    name="kitchen",
    source="This example",
    kind="labels",
    request="You are the chef. Grade the recipe's last line: A (go on), B (could be better) or C (would spoil it).",
    prefill="{open}Grade:\n",
    labels=("C", "B", "A"),  # worst first; each has to be one token
    method="mean",
    threshold=1.2,  # of 0..2
)
RECIPES = Preset(
    name="recipes",
    source="This example",
    kind="instruct",
    prompt="Write a recipe: {question}\n\nOne short numbered line a step, and the last line says what is served.",
    boundary="\n",
    answer_cue="Served: ",
    judge="kitchen",
    temperature=0.0,
)


async def main() -> None:
    settings = Settings(preset="recipes", reasoning_budget=256)
    graph = create_specreason(presets=[RECIPES], judges=[GRADES], settings=settings).compile()
    result = await graph.ainvoke({"messages": [HumanMessage("pancakes for two")]})
    for step in result["specreason_steps"]:
        print(f"[{step['source']:5} {step['score']}] {step['text'].strip()}")
    print("=>", result["specreason_answer"])


asyncio.run(main())
