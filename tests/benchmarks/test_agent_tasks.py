"""The tasks can be done, and what a record says of a conversation is true."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from agent_scores import FILE, arm_report, load_tasks, scored, share
from agent_tasks import measured
from agent_tools import TOOLS
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage

from specreason_graph import Settings
from specreason_graph.testing import Script, scripted_pair
from specreason_graph.tools.bench.journal import read_journal
from specreason_graph.tools.bench.outcome import ARMS

TASKS = load_tasks(None)
CALL = '<tool_call>\n{{"name": "unit_price", "arguments": {{"item": "{}"}}}}\n</tool_call>'


def raw(at: int) -> Any:
    with FILE.open("rb") as file:
        return tomllib.load(file)["task"][at]


def done(at: int) -> list[AnyMessage]:
    """A conversation that makes the expected calls and tells all that the tools said."""
    messages: list[AnyMessage] = [HumanMessage(TASKS[at].question)]
    for group in raw(at)["calls"]:
        calls = [{**given, "id": f"{len(messages)}-{n}"} for n, given in enumerate(group)]
        messages.append(AIMessage("", tool_calls=calls))
        messages += [
            ToolMessage(str(TOOLS[given["name"]].invoke(given["args"])), tool_call_id=given["id"]) for given in calls
        ]
    told = " ".join(message.text for message in messages if isinstance(message, ToolMessage))
    return [*messages, AIMessage(f"They say {told}.")]


def test_there_are_forty_with_two_or_three_tools() -> None:
    assert len(TASKS) == 40
    assert {len(task.tools) for task in TASKS} == {2, 3}
    assert len({task.question for task in TASKS}) == 40


@pytest.mark.parametrize("at", range(40), ids=[task.question for task in TASKS])
def test_a_task_is_solved_by_its_calls(at: int) -> None:
    record = scored(TASKS[at], "base", done(at), 1.0)
    assert record["valid"] == record["calls"] > 0
    assert (record["first_tool"], record["first"], record["all"], record["solved"]) == (True,) * 4


def called(*calls: tuple[str, dict[str, Any]], answer: str = "") -> list[AnyMessage]:
    made = [{"name": name, "args": args, "id": str(n)} for n, (name, args) in enumerate(calls)]
    return [HumanMessage("?"), AIMessage("", tool_calls=made), AIMessage(answer)]


NOTEBOOKS = TASKS[1]
PRICE, PRODUCT = ("unit_price", {"item": "Notebooks"}), ("multiply", {"a": 7, "b": 3.4})


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (called(PRICE, PRODUCT, answer="They cost 23.80 euros."), (2, 2, True, True, True, True)),
        (called(PRODUCT, PRICE, answer="23.8"), (2, 2, False, False, False, True)),
        (called(PRICE, answer="23.9"), (1, 1, True, True, False, False)),
        (called(("unit_price", {"item": "pen"})), (1, 1, True, False, False, False)),
        (called(("unit_price", {"thing": "notebook"})), (0, 1, True, False, False, False)),
        (called(("price", {"item": "notebook"})), (0, 1, False, False, False, False)),
        (called(("multiply", {"a": "7", "b": 3.4})), (0, 1, False, False, False, False)),
        ([HumanMessage("?"), AIMessage("23.8")], (0, 0, False, False, False, True)),
    ],
)
def test_what_a_record_says(messages: list[AnyMessage], expected: tuple[Any, ...]) -> None:
    record = scored(NOTEBOOKS, "base", messages, 1.0)
    fields = ("valid", "calls", "first_tool", "first", "all", "solved")
    assert tuple(record[field] for field in fields) == expected  # type: ignore[literal-required]


def test_a_malformed_call_counts_and_spoils_all() -> None:
    malformed = AIMessage(
        "",
        invalid_tool_calls=[{"name": "add", "args": '{"a": 1', "id": "9", "error": "cut", "type": "invalid_tool_call"}],
    )
    record = scored(NOTEBOOKS, "base", [*called(PRICE, PRODUCT), malformed], 1.0)
    assert (record["valid"], record["calls"], record["all"]) == (2, 3, False)
    assert record["said"][-1].endswith("cut")


def test_a_conversation_that_ends_with_calls_has_no_answer() -> None:
    assert not scored(NOTEBOOKS, "base", called(PRICE)[:-1], 1.0)["solved"]


def test_totals_and_their_intervals() -> None:
    report = arm_report([scored(TASKS[at], "ours", done(at), 2.0) for at in range(4)])
    assert report["shares"]["solved"] == [4, 4, pytest.approx(0.510, abs=1e-3), 1.0]
    assert report["seconds"] == 2.0
    assert json.dumps(report)
    assert share(0, 0) == [0, 0, 0.0, 1.0]


async def test_all_arms_do_a_task_and_a_second_run_does_nothing_again(tmp_path: Path) -> None:
    """The draft has another price in mind: where it is alone, that is what is looked up."""
    base, draft = (
        Script(["Look it up."], answer=CALL.format(item), then=[Script(["There it is."], answer=f"It costs {said}.")])
        for item, said in (("desk lamp", 24.6), ("globe", 31.5))
    )
    settings, out = Settings(temperature=0, answer_budget=64), tmp_path / "run.jsonl"
    async with scripted_pair(base, draft, template="think") as servers:
        for _run in range(2):
            await measured(servers.config, settings, TASKS[:1], ARMS, out)
        asked = len(servers.base.completions)
        await measured(servers.config, settings, TASKS[:1], ARMS, out)
        assert len(servers.base.completions) == asked
    found: Any = {record["arm"]: record for record in read_journal(out)[1]}
    assert {arm: record["solved"] for arm, record in found.items()} == {
        "base": True,
        "draft": False,
        "paper": True,
        "ours": True,
    }
    assert all(record["calls"] == record["valid"] == 1 and record["turns"] == 2 for record in found.values())
    assert [found[arm]["tokens"]["draft"][1] > 0 for arm in ARMS] == [False, False, True, True]
