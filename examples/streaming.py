"""python examples/streaming.py: every event of a run, as it happens.

It runs on the `SPECREASON_…` servers, or else on the embedded pair. The events' shapes are in
`specreason_graph/contract/events.py`; docs/streaming.md has the other stream modes.
"""

import asyncio
from typing import cast

from langchain_core.messages import HumanMessage

from specreason_graph import Settings, create_specreason
from specreason_graph.contract.events import Event

QUESTION = "A baker sells 14 rolls an hour for 6 hours, and 31 are left. How many rolls did he bake?"


def told(event: Event) -> str:
    match event["event"]:
        case "step_drafted":
            return f"\n{event['index'] + 1}. draft: {event['text'].strip()}\n"
        case "draft_gone":
            return f"\n{event['index'] + 1}. no draft: its server failed\n"
        case "step_judged":
            return f"   score {event['verdict']['score']}: "
        case "step_accepted":
            return "kept\n"
        case "step_rejected":
            return f"rejected ({event['reason']})\n"
        case "step_regenerated" | "step_edited":
            return f"   {event['step']['source']}: {event['step']['text'].strip()}\n"
        case "step_unsure":
            return "a person should decide\n"
        case "reasoning_ended":
            return f"\nThe reasoning is over ({event['ended']}). "
        case "tool_call_begun":
            return f"\ncalls {event['name']}: "
        case "answer_token" | "tool_call_token":
            return event["text"]


async def main() -> None:
    settings = Settings(reasoning_budget=512)
    graph = create_specreason(settings=settings).compile()
    async for event in graph.astream({"messages": [HumanMessage(QUESTION)]}, stream_mode="custom"):
        print(told(cast(Event, event)), end="", flush=True)
    print()


asyncio.run(main())
