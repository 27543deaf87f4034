"""Right answers, acceptance, tokens and seconds of base alone, draft alone and the loop, on the embedded pair.

    python benchmarks/compare.py --problems gsm8k.jsonl --skip 950 --limit 50 --arm base --arm draft \\
        --arm paper --arm likelihood

Problems are lines of `{"problem", "answer"}`. An arm is `base`, `draft` (one plain generation each, on the same
prompt), or a judge's name, with a threshold of its own behind an `@` (`likelihood@-3`). The arms take turns on
each problem. Finished ones are kept in `--out`, so a run that was stopped goes on where it was. On a CPU these
seconds say nothing about a GPU: the pair's cost ratio here is 1.7.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from langchain_core.messages import HumanMessage
from math_verify import parse, verify
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.conversation import chat_messages
from specreason_graph.embedded import embedded_pair
from specreason_graph.endpoint.protocol import Sampling
from specreason_graph.presets import builtin
from specreason_graph.report import acceptance
from specreason_graph.settings import Role
from specreason_graph.weights import pull
from specreason_graph.writing import Bounds, collect

BUDGET, ANSWER = 1024, 256  # tokens of reasoning, and of an answer that has to be asked for


@dataclass(frozen=True)
class Outcome:
    """One arm on one problem; acceptance counts judged steps, tokens are drafted/discarded/base/judged."""

    problem: int
    arm: str
    right: bool
    ended: str
    seconds: float
    judged: int = 0
    accepted: int = 0
    drafted: int = 0
    discarded: int = 0
    by_base: int = 0
    judge_prompt: int = 0


def main(
    problems: Annotated[Path, typer.Option(help="JSON lines of problem and answer")],
    arm: Annotated[list[str], typer.Option(help="base, draft, or judge[@threshold]; several")],
    skip: Annotated[int, typer.Option(help="Leave out the first n problems")] = 0,
    limit: Annotated[int, typer.Option(help="How many problems")] = 50,
    out: Annotated[Path, typer.Option(help="Where finished ones are kept")] = Path("runs/compare.jsonl"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the totals as JSON")] = False,
) -> None:
    """Run every arm on every problem that has no outcome yet, then print the table."""
    lines = [json.loads(line) for line in problems.read_text().splitlines()][skip : skip + limit]
    asyncio.run(_run(dict(enumerate(lines, start=skip)), arm, out))
    outcomes = [o for o in _finished(out) if o.arm in arm and skip <= o.problem < skip + limit]
    totals = {name: _totals([o for o in outcomes if o.arm == name]) for name in arm}
    if as_json:
        print(json.dumps(totals, indent=2))
        return
    table = Table(*["arm", *next(iter(totals.values()))])
    for name, row in totals.items():
        table.add_row(name, *(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)


async def _run(problems: dict[int, dict[str, str]], arms: list[str], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    done = {(o.problem, o.arm) for o in _finished(out)}
    todo = [(n, arm) for i, n in enumerate(problems) for arm in arms[i % len(arms) :] + arms[: i % len(arms)]]
    with embedded_pair(pull()) as config, out.open("a") as file, Progress(console=Console(stderr=True)) as progress:
        async with Pair(config) as pair:
            for number, arm in progress.track([t for t in todo if t not in done], description="problems x arms"):
                outcome = await _outcome(pair, number, arm, problems[number])
                file.write(json.dumps(asdict(outcome)) + "\n")
                file.flush()


async def _outcome(pair: Pair, number: int, arm: str, problem: dict[str, str]) -> Outcome:
    began = time.perf_counter()
    if arm in ("base", "draft"):
        text, ended, counts = await _alone(pair, arm, problem["problem"])  # type: ignore[arg-type]
    else:
        text, ended, counts = await _loop(pair, arm, problem["problem"])
    boxed = text.rfind("\\boxed")
    right = verify(parse(f"${problem['answer']}$"), parse(text[boxed:] if boxed >= 0 else text))
    return Outcome(number, arm, bool(right), ended, time.perf_counter() - began, **counts)


async def _alone(pair: Pair, role: Role, question: str) -> tuple[str, str, dict[str, int]]:
    preset = builtin().preset(pair.preset, *(card.name for card in (await pair.cards()).values()))
    opening = await pair.opening(role, chat_messages([HumanMessage(question)], preset), preset)
    sampling = Sampling(preset.temperature, preset.top_p, seed=0)
    got = await collect(pair.endpoint(role), opening.ids, Bounds(BUDGET + ANSWER), sampling)
    tokens = {"by_base": len(got.ids)} if role == "base" else {"drafted": len(got.ids)}
    return got.text, "budget" if got.cut else "finished", tokens


async def _loop(pair: Pair, arm: str, question: str) -> tuple[str, str, dict[str, int]]:
    judge, _, threshold = arm.partition("@")
    settings = Settings(
        judge=judge, threshold=float(threshold) if threshold else None, reasoning_budget=BUDGET, answer_budget=ANSWER
    )
    graph = create_specreason(pair=pair, settings=settings).compile()
    state: dict[str, Any] = await graph.ainvoke(
        {"messages": [HumanMessage(question)]}, {"recursion_limit": settings.recursion_limit}
    )
    steps, usage = state["specreason_steps"], state["specreason_usage"]
    text = "".join(step["text"] for step in steps) + (state["specreason_answer"] or "")
    accepted, judged = acceptance(steps)
    counts = {
        "judged": judged,
        "accepted": accepted,
        "drafted": usage["draft"]["completion_tokens"],
        "discarded": usage["draft"]["discarded_tokens"],
        "by_base": usage["base"]["completion_tokens"],
        "judge_prompt": usage["judge"]["prompt_tokens"] - (usage["judge"]["cached_tokens"] or 0),
    }
    return text, state["specreason_ended"], counts


def _finished(out: Path) -> list[Outcome]:
    return [Outcome(**json.loads(line)) for line in out.read_text().splitlines()] if out.exists() else []


def _totals(outcomes: list[Outcome]) -> dict[str, int | float | None]:
    n = max(len(outcomes), 1)
    judged = sum(o.judged for o in outcomes)
    return {
        "n": len(outcomes),
        "right": sum(o.right for o in outcomes),
        "acceptance": sum(o.accepted for o in outcomes) / judged if judged else None,
        "drafted": sum(o.drafted for o in outcomes),
        "discarded": sum(o.discarded for o in outcomes),
        "by base": sum(o.by_base for o in outcomes),
        "judge prefill": sum(o.judge_prompt for o in outcomes),
        "finished": sum(o.ended == "finished" for o in outcomes),
        "s/problem": sum(o.seconds for o in outcomes) / n,
    }


if __name__ == "__main__":
    typer.run(main)
