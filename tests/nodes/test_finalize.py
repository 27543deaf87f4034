"""The answer phase: who writes it, how long it may be, and when nothing is left to write."""

from typing import Any

import pytest
from conftest import Solve
from langchain_core.messages import AIMessage

from specreason_graph import ConfigError
from specreason_graph.testing import Pace, Script, ScriptedServer

MANY = [
    f"{word.title()} comes next, and then {word[::-1]}."
    for word in ["cow", "barn", "milk", "hay", "field", "grass", "gate", "hill"]
]
STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]


async def test_the_answer_is_a_message_with_the_reasoning_beside_it(solve: Solve) -> None:
    solved = await solve(Script(STEPS, answer="There are 12 legs."), Script(STEPS))
    message = solved.state["messages"][-1]
    assert isinstance(message, AIMessage)
    assert message.text == "There are 12 legs."
    assert message.additional_kwargs["reasoning_content"] == "\n\n".join(STEPS)
    assert [block["type"] for block in message.content_blocks] == ["reasoning", "text"]


async def test_an_instruct_turn_that_has_ended_needs_no_further_request(solve: Solve) -> None:
    base = ScriptedServer(Script(STEPS))
    solved = await solve(base, Script(STEPS), template="instruct", judge="paper", hedge=False, boxed=True)
    assert solved.state["specreason_answer"] == "So 12."
    assert solved.state["messages"][-1].additional_kwargs["reasoning_content"] == "\n\n".join(STEPS[:2])
    assert len(base.completions) == len(STEPS)  # one judge call a step


async def test_an_instruct_turn_that_was_cut_is_asked_for_its_answer(solve: Solve) -> None:
    base = Script([*STEPS, *STEPS], answer="\\boxed{12}", cue="The final answer is ")
    draft = Script(["One.", "Two.", "Three."])
    solved = await solve(base, draft, template="instruct", judge="paper", max_steps=2, boxed=True)
    assert solved.state["specreason_ended"] == "steps"
    assert solved.state["specreason_answer"] == "The final answer is \\boxed{12}"


async def test_boxed_inside_the_reasoning_stops_nothing(solve: Solve) -> None:
    """The authors' script ends at any "boxed" or "Answer:" while the model is still thinking."""
    steps = ["I must put it in \\boxed{}.", "Answer: perhaps \\boxed{11}?", "No, \\boxed{12}."]
    solved = await solve(Script(steps, answer="\\boxed{12}"), Script(steps))
    assert solved.texts == steps
    assert solved.state["specreason_ended"] == "finished"


async def test_the_reasoning_budget_forces_the_answer_which_has_its_own(solve: Solve) -> None:
    solved = await solve(Script(MANY, answer="12 " * 50), Script(MANY), reasoning_budget=60, answer_budget=20)
    assert solved.state["specreason_ended"] == "budget"
    assert sum(len(step["ids"]["base"]) for step in solved.steps) <= 60
    answer = solved.base.completions[-1]
    assert answer.body["max_tokens"] == 20
    assert solved.state["specreason_answer"]


async def test_a_context_that_fills_up_forces_the_answer_early(solve: Solve) -> None:
    """The authors' script crashes there, and loses everything."""
    base = ScriptedServer(Script(MANY, answer="12"), template="think", context=400)
    solved = await solve(base, Script(MANY), answer_budget=30)
    assert solved.state["specreason_ended"] == "context"
    assert solved.state["specreason_answer"] == "12"
    assert solved.steps


async def test_the_deadline_leaves_its_reserve_to_the_answer(solve: Solve) -> None:
    slow = ScriptedServer(Script(MANY), template="think", pace=Pace(seconds_per_token=0.01))
    solved = await solve(Script(MANY, answer="12"), slow, deadline=2.0, answer_reserve=1.0)
    assert solved.state["specreason_ended"] == "deadline"
    assert solved.state["specreason_answer"] == "12"
    assert 0 < len(solved.steps) < len(MANY)


async def test_no_answer_is_told_apart_from_an_ended_reasoning(solve: Solve) -> None:
    solved = await solve(Script(STEPS, answer=" "), Script(STEPS))
    assert solved.state["specreason_ended"] == "finished"
    assert solved.state["specreason_answer"] is None
    assert solved.state["specreason_done"]


async def test_the_draft_may_answer(solve: Solve) -> None:
    solved = await solve(Script(STEPS, answer="base says"), Script(STEPS, answer="draft says"), answer_by="draft")
    assert solved.state["specreason_answer"] == "draft says"


@pytest.mark.parametrize(
    ("template", "settings"),
    [
        ("think", {}),
        ("instruct", {"judge": "paper"}),
        ("instruct", {"judge": "paper", "max_steps": 2}),
        ("instruct", {"judge": "paper", "answer_stop": (" 12",)}),
        ("think", {"answer_stop": (" 12",)}),
    ],
)
async def test_the_answers_tokens_join_to_the_answer(solve: Solve, template: str, settings: dict[str, Any]) -> None:
    """Whoever shows a run by its events needs no case for instruct models."""
    script = Script(STEPS, answer="It is 12.", cue="The final answer is ")
    solved = await solve(script, script, template=template, **settings)
    told = "".join(event["text"] for event in solved.events if event["event"] == "answer_token")
    assert told == solved.state["specreason_answer"]
    assert (" 12" in told) == ("answer_stop" not in settings)


async def test_a_schema_that_leaves_no_room_is_told_with_the_fix(solve: Solve) -> None:
    base = ScriptedServer(Script(MANY), template="think", context=400)
    schema = {"type": "object", "description": "long " * 200}
    with pytest.raises(ConfigError, match=r"answer_schema.*shorten .* the schema"):
        await solve(base, Script(MANY), answer_budget=30, answer_schema=schema)
    assert not base.completions, "before anything is paid for"


@pytest.mark.parametrize("budget", range(1, 16))
async def test_an_answer_that_is_cut_is_what_was_told(solve: Solve, budget: int) -> None:
    """Also where the budget ends behind a line, inside a character, or inside a stop that never came."""
    script = Script(STEPS, answer="So 12.\n\n🙂 and\nEND of it, END. no more")
    solved = await solve(script, script, answer_budget=budget, answer_stop=("END.",))
    told = "".join(event["text"] for event in solved.events if event["event"] == "answer_token")
    assert told == (solved.state["specreason_answer"] or "")
    assert "END." not in told
