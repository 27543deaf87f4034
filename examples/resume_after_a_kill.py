"""python examples/resume_after_a_kill.py: a process is killed in the middle of a run, and another one goes on.

It runs on the `SPECREASON_…` servers, or else on the embedded pair, and keeps the run in SQLite
(pip install langgraph-checkpoint-sqlite).
"""

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from specreason_graph import Settings, create_specreason

QUESTION = "A train has 7 wagons with 24 seats each. 39 seats are taken. How many are free?"
SETTINGS = Settings(reasoning_budget=512)
THREAD: RunnableConfig = {"configurable": {"thread_id": "1"}}


async def run(path: str, given: Any) -> None:
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        graph = create_specreason(settings=SETTINGS).compile(checkpointer=saver)
        async for update in graph.astream(given, THREAD, stream_mode="updates", durability="sync"):
            for node, changed in update.items():  # told when it is on disk
                for step in changed.get("specreason_steps", ()) if node in ("judge", "regenerate") else ():
                    print("kept", step["index"] + 1, flush=True)
        print("=>", (await graph.aget_state(THREAD)).values["specreason_answer"])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "run.sqlite")
        child = subprocess.Popen([sys.executable, __file__, path], stdout=subprocess.PIPE, encoding="utf-8")
        assert child.stdout is not None
        for line in child.stdout:
            print("first process:", line.strip())
            if line.startswith("kept"):
                break
        child.kill()
        child.wait()
        child.stdout.close()
        print("killed; going on from the last kept step")
        asyncio.run(run(path, None))


if len(sys.argv) > 1:
    asyncio.run(run(sys.argv[1], {"messages": [HumanMessage(QUESTION)]}))
else:
    main()
