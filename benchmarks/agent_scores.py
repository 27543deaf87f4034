"""What an agent's turns are worth: its calls and its answer against those that a task expects, and tables of that."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

from agent_tools import EITHER_WAY, TOOLS, plain
from langchain_core.messages import AIMessage, AnyMessage, ToolCall
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ValidationError

from specreason_graph.contract.errors import ConfigError
from specreason_graph.tools.bench.totals import wilson

FILE = Path(__file__).with_name("agent_tasks.toml")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_ROLES = ("draft", "base", "judge")

Call = tuple[str, str]
"""A tool's name, and its arguments as they are compared."""


@dataclass(frozen=True, slots=True)
class Task:
    """A question, the tools for it, the calls that it takes, and what the answer has to tell."""

    id: str
    question: str
    tools: Sequence[BaseTool]
    calls: Sequence[Sequence[Call]]
    """Groups in order; within a group any order is right."""
    answer: Sequence[str | float]


class Record(TypedDict):
    """What one arm came to on one task."""

    task: str
    arm: str
    valid: int
    """Calls that were valid: a known tool, and arguments that its schema allows."""
    calls: int
    """All calls, those included that were cut or malformed."""
    first_tool: bool
    """Whether the first call was of the right tool,"""
    first: bool
    """and with the right arguments."""
    all: bool
    """Whether exactly the expected calls were made, in an order that is right."""
    solved: bool
    turns: int
    answer: str
    said: list[str]
    """The calls as they were made, for reading."""
    seconds: float
    tokens: dict[str, list[int]]
    """By role: prompt, completion, discarded."""
    steps: int
    accepted: float


def load_tasks(limit: int | None) -> list[Task]:
    """The tasks of `agent_tasks.toml`, or the first of them."""
    found = tomllib.loads(FILE.read_text(encoding="utf-8"))["task"]
    return [
        Task(
            id=f"{at:02}",
            question=task["question"],
            tools=[TOOLS[name] for name in task["tools"]],
            calls=[[call(given["name"], given["args"]) for given in group] for group in task["calls"]],
            answer=task["answer"],
        )
        for at, task in enumerate(found, 1)
    ][:limit]


def call(name: str, args: Mapping[str, Any]) -> Call:
    """A call as it is compared; of tools that take their arguments either way, the order is left out."""
    told = {key: plain(value) for key, value in args.items()}
    return name, json.dumps(sorted(told.values(), key=str) if name in EITHER_WAY else told, sort_keys=True, default=str)


def scored(task: Task, arm: str, messages: Sequence[AnyMessage], seconds: float) -> Record:
    """The record of a whole conversation."""
    replies = [message for message in messages if isinstance(message, AIMessage)]
    made = [given for reply in replies for given in reply.tool_calls]
    calls = [call(given["name"], given["args"]) for given in made]
    malformed = [given for reply in replies for given in reply.invalid_tool_calls]
    flat = [expected for group in task.calls for expected in group]
    answer = replies[-1].text if replies and not replies[-1].tool_calls else ""
    told = [reply.response_metadata.get("specreason", {}) for reply in replies]
    return Record(
        task=task.id,
        arm=arm,
        valid=sum(_is_valid(task, given) for given in made),
        calls=len(made) + len(malformed),
        first_tool=bool(calls) and calls[0][0] in {name for name, _ in task.calls[0]},
        first=bool(calls) and calls[0] in task.calls[0],
        all=not malformed and len(calls) == len(flat) and _in_order(calls, task.calls),
        solved=all(_tells(answer, expected) for expected in task.answer),
        turns=len(replies),
        answer=answer,
        said=[*(f"{given['name']} {json.dumps(given['args'], default=str)}" for given in made)]
        + [f"{given['name']} {given['args']}: {given['error']}" for given in malformed],
        seconds=seconds,
        tokens={role: [_sum(told, role, field) for field in _FIELDS] for role in _ROLES},
        steps=sum(it.get("steps", 0) for it in told),
        accepted=sum((it.get("acceptance_rate") or 0.0) * it.get("steps", 0) for it in told),  # each step is judged
    )


_FIELDS = ("prompt_tokens", "completion_tokens", "discarded_tokens")


def _sum(told: Sequence[Mapping[str, Any]], role: str, field: str) -> int:
    return sum(it.get("usage", {}).get(role, {}).get(field, 0) for it in told)


def _is_valid(task: Task, given: ToolCall) -> bool:
    tool = next((tool for tool in task.tools if tool.name == given["name"]), None)
    if tool is None:
        return False
    schema = cast(type[BaseModel], tool.tool_call_schema)
    try:
        schema.model_validate_json(json.dumps(given["args"]), strict=True)
    except ValidationError:
        return False
    return given["args"].keys() <= schema.model_fields.keys()


def _in_order(calls: Sequence[Call], groups: Sequence[Sequence[Call]]) -> bool:
    at = 0
    for group in groups:
        if sorted(calls[at : at + len(group)]) != sorted(group):
            return False
        at += len(group)
    return True


def _tells(answer: str, expected: str | float) -> bool:
    if isinstance(expected, str):
        return expected.lower() in answer.lower()
    numbers = [float(number) for number in _NUMBER.findall(answer.replace(",", ""))]
    return any(abs(number - expected) <= 0.006 for number in numbers)


class ArmReport(TypedDict):
    """An arm's totals; each share is `[right, of, low, high]`, the latter two of 95 % by Wilson."""

    tasks: int
    shares: dict[str, list[float]]
    turns: float
    seconds: float
    accepted: float | None
    tokens: dict[str, list[int]]


def arm_report(records: Sequence[Record]) -> ArmReport:
    """The totals of one arm's records, of which there must be one at least."""
    steps = sum(record["steps"] for record in records)
    judged = any(record["tokens"]["judge"][0] for record in records)
    return ArmReport(
        tasks=len(records),
        shares={
            "valid": share(sum(record["valid"] for record in records), sum(record["calls"] for record in records)),
            **{name: share(sum(map(_true(name), records)), len(records)) for name in SHARES if name != "valid"},
        },
        turns=sum(record["turns"] for record in records) / len(records),
        seconds=sum(record["seconds"] for record in records) / len(records),
        accepted=sum(record["accepted"] for record in records) / steps if steps and judged else None,
        tokens={
            role: [sum(record["tokens"][role][at] for record in records) for at in range(len(_FIELDS))]
            for role in _ROLES
        },
    )


SHARES = ("valid", "first_tool", "first", "all", "solved")


def share(right: int, of: int) -> list[float]:
    """`[right, of, low, high]`; nothing at all is 0 of 0."""
    return [right, of, *(wilson(right / of, of) if of else (0.0, 1.0))]


def _true(name: str) -> Callable[[Record], bool]:
    return lambda record: bool(cast(Mapping[str, Any], record)[name])


def check_arms(arms: Sequence[str], known: Sequence[str]) -> None:
    """Refuse an arm that is none.

    Raises:
        ConfigError: there is no such arm.
    """
    for arm in arms:
        if arm not in known:
            raise ConfigError(f"arm: there is no {arm!r}; known are {', '.join(known)}")
