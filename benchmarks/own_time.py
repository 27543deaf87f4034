"""Our own time: everything in a step that is not waiting for a model, and what a run writes and sends.

    python benchmarks/own_time.py [--json] [--steps 10 --steps 100 --steps 1000]

- `graph`: a run on two models in this process that answer at once (`instant_endpoint`), from one judge's request to
  the next. Nodes, graph, checkpointer and the reading of streams; no HTTP.
- `critical_path`: a run over HTTP on two servers without a pace, in processes of their own; the time in which neither
  had a request to answer. With HTTP, and without what is done while a server works. Sequential, since no overlap
  hides anything there.
- `serialise`: one more step in the ids of that many, and all of them as a judge's prompt in JSON; it is part of
  `critical_path`.

Each is the median and the 99th percentile of the steps around the 10th, the 100th, the 1000th.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import typer
from instant_endpoint import InstantEndpoint, Progress
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from paced_runs import PRESET, compiled, looked_up, settings
from paced_servers import Request, ServerProcess
from paced_traces import Trace, synthetic

from specreason_graph import Pair, PairConfig
from specreason_graph.contract.config import EndpointConfig
from specreason_graph.endpoint.ids import Ids

RUNS = (("both", "none"), ("both", "memory"), ("both", "sqlite"), ("sequential", "none"))
"""Mode and checkpointer."""
_REPEATS = 5  # runs of up to 100 steps
_SAMPLES = 10  # steps around a short run's, more around a long one's
_ACCEPTANCE = 0.8
_NOWHERE = EndpointConfig(base_url="http://127.0.0.1:9")


async def own_time(
    lengths: Sequence[int],
    lengths_http: Sequence[int],
    processes: Sequence[ServerProcess],
    tokens: int,
    done: Callable[[], None],
) -> dict[str, Any]:
    """Milliseconds by number of steps: `{"graph": …, "critical_path": …, "serialise": …, "detail": …}`."""
    detail: dict[str, Any] = {}
    await _instant_run("both", "none", synthetic(_ACCEPTANCE, steps=5, tokens=tokens))  # whatever is done once
    for mode, saver in RUNS:
        detail[f"{mode}, saver {saver}"] = await _graph(mode, saver, lengths, tokens)
        done()
    over_http = await _over_http(lengths_http, processes, tokens)
    done()
    return {
        "graph": _medians(detail["both, saver none"]),
        "critical_path": _medians(over_http),
        "serialise": {str(steps): _serialise(steps, tokens) for steps in lengths},
        "detail": {"graph": detail, "critical_path": over_http},
    }


async def _graph(mode: str, saver: str, lengths: Sequence[int], tokens: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for steps in lengths:
        around: list[float] = []
        written = 0
        for repeat in range(_REPEATS if steps <= 100 else 1):
            trace = synthetic(_ACCEPTANCE, steps=steps + _SAMPLES, tokens=tokens, seed=repeat)
            times, written = await _instant_run(mode, saver, trace)
            around += _around(times, steps)
        found[str(steps)] = _spread(around) | {"checkpointed_bytes": written}
    return found


async def _instant_run(mode: str, saver: str, trace: Trace) -> tuple[list[float], int]:
    """Seconds of each step, and bytes written to the checkpointer."""
    progress = Progress()
    async with (
        Pair(PairConfig(base=_NOWHERE, draft=_NOWHERE, preset=PRESET.name)) as pair,
        _saver(saver) as (it, serde),
    ):
        pair.base = InstantEndpoint("base", trace, progress, time.perf_counter)
        pair.draft = InstantEndpoint("draft", trace, progress, time.perf_counter)
        await _run(compiled(pair, checkpointer=it), mode)
    assert len(progress.asked) == len(trace.steps), "every step was judged once"
    return [after - before for before, after in pairwise(progress.asked)], serde.written


async def _over_http(lengths: Sequence[int], processes: Sequence[ServerProcess], tokens: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for steps in lengths:
        base, draft = synthetic(_ACCEPTANCE, steps=steps + _SAMPLES, tokens=tokens).scripts()
        async with (
            processes[0].serving("base", base, None) as (base_config, of_base),
            processes[1].serving("draft", draft, None) as (draft_config, of_draft),
            looked_up(PairConfig(base=base_config, draft=draft_config, preset=PRESET.name)) as pair,
        ):
            await _run(compiled(pair), "sequential")
        requests = [*of_base, *of_draft]
        sent = sum(request.size for request in requests)
        found[str(steps)] = _spread(_around(_gaps(requests), steps)) | {"sent_bytes": sent}
    return found


async def _run(graph: Any, mode: str) -> None:
    config = {"configurable": {"thread_id": "0"}}
    gc.collect()
    await graph.ainvoke({"messages": [HumanMessage("How many?")]}, config, context=settings(mode))


def _gaps(requests: Sequence[Request]) -> list[float]:
    """Seconds of each step, judge to judge, in which no request was being answered."""
    gaps, busy_until = list[float](), 0.0
    for request in sorted(requests, key=lambda request: request.began):
        if gaps:
            gaps[-1] += max(0.0, request.began - busy_until)
        if request.call == "judge":
            gaps.append(0.0)
        busy_until = max(busy_until, request.ended)
    return gaps[:-1]


def _around(times: Sequence[float], steps: int) -> list[float]:
    """Those of the steps up to that one: more of a long run, and never the first, which looks everything up."""
    return list(times[max(1, steps - max(_SAMPLES, steps // 10)) : steps])


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    in_ms = sorted(1000 * second for second in seconds)
    return {"median": statistics.median(in_ms), "p99": in_ms[min(len(in_ms) - 1, int(0.99 * len(in_ms)))]}


def _medians(found: dict[str, Any]) -> dict[str, float]:
    return {steps: figures["median"] for steps, figures in found.items()}


def _serialise(steps: int, tokens: int) -> float:
    """A step's tokens put behind the ledger, and a judge's prompt written."""
    step, request = [300 + at for at in range(tokens)], list(range(300, 370))
    prompt, times = Ids(step * steps), list[float]()
    for _ in range(20):
        began = time.perf_counter()
        prompt = prompt.grown(step)
        prompt.plus(request).json  # noqa: B018  # a property that does the work
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


class _Counting(JsonPlusSerializer):
    """LangGraph's serializer, and how many bytes it gave."""

    written = 0

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        kind, raw = super().dumps_typed(obj)
        self.written += len(raw)
        return kind, raw


@asynccontextmanager
async def _saver(name: str) -> AsyncIterator[tuple[BaseCheckpointSaver[Any] | None, _Counting]]:
    serde = _Counting()
    if name == "none":
        yield None, serde
    elif name == "memory":
        yield InMemorySaver(serde=serde), serde
    else:
        with tempfile.TemporaryDirectory() as folder:
            async with AsyncSqliteSaver.from_conn_string(str(Path(folder) / "runs.sqlite")) as saver:
                saver.serde = serde
                yield saver, serde


async def _measured(steps: Sequence[int]) -> dict[str, Any]:
    async with ServerProcess() as base, ServerProcess() as draft:
        return await own_time(steps, steps, (base, draft), tokens=23, done=lambda: None)


def main(
    steps: Annotated[list[int] | None, typer.Option(help="Around which steps; may be repeated")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a line each")] = False,
) -> None:
    """Measure our own time, in milliseconds a step."""
    found = asyncio.run(_measured(steps or (10, 100, 1000)))
    if as_json:
        print(json.dumps(found))
        return
    for what in ("graph", "critical_path", "serialise"):
        print(f"{what:14}", "  ".join(f"step {step}: {found[what][step]:.3f} ms" for step in found[what]))


if __name__ == "__main__":
    typer.run(main)
