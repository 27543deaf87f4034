"""A run knows who it is: whether it is fresh is decided once, by the conversation and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import Pair, Settings, create_specreason, edited
from specreason_graph.contract.errors import EndpointFailed
from specreason_graph.testing import Fault, Pace, Script, ScriptedServer, scripted_pair

STEPS = [f"Step {n} says that {n} and {n} is {2 * n}." for n in range(1, 7)]
QUESTION: Any = {"messages": [HumanMessage("How much is it?", id="q")]}
AGAIN: Any = {"messages": [("user", "How much is it?")]}
MORE: Any = {"messages": [HumanMessage("In French, please.", id="more")]}
THREAD: Any = {"configurable": {"thread_id": "t"}, "recursion_limit": 200}


def servers() -> Any:
    return scripted_pair(Script(STEPS, answer="12"), Script(STEPS), template="think")


@pytest.mark.parametrize("paused_before", ["judge", "regenerate", "finalize"])
async def test_a_message_added_while_a_run_is_paused_begins_a_clean_run(paused_before: str) -> None:
    """Never an answer to the new question behind the old one's reasoning, whichever node comes next."""
    base = ScriptedServer(Script(STEPS, answer="12", scores=[2]), template="think", model="scripted-base")
    async with scripted_pair(base, Script(STEPS), template="think") as served, Pair(served.config) as pair:
        saver = InMemorySaver()
        paused = create_specreason(pair=pair).compile(checkpointer=saver, interrupt_before=[paused_before])
        await paused.ainvoke(QUESTION, THREAD)
        await paused.aupdate_state(THREAD, MORE)
        before = len(served.draft.completions)
        state = await create_specreason(pair=pair).compile(checkpointer=saver).ainvoke(None, THREAD)
        tokenizer = served.draft.model.tokenizer
        asked = [tokenizer.spell(r.prompts[0]).decode() for r in served.draft.completions[before:]]
    assert state["specreason_ended"] == "finished"
    assert [step["index"] for step in state["specreason_steps"]] == list(range(len(STEPS)))
    assert asked[0].endswith("<think>\n"), "the draft begins at the beginning"
    assert all("In French" in prompt for prompt in asked)
    assert state["specreason_run"]["question"] != _hash_of_question()
    assert [message.type for message in state["messages"]] == ["human", "human", "ai"]


def _hash_of_question() -> str:
    from specreason_graph.models.conversation import question_hash

    return question_hash(QUESTION["messages"])


@pytest.mark.parametrize("settings", [Settings(), Settings(max_steps=3), Settings(reasoning_budget=60)])
async def test_a_question_sent_again_after_its_answer_failed_goes_on_where_it_was(settings: Settings) -> None:
    """A client that tries again sends the same message: what was reasoned is not drafted anew, nor added to."""
    async with servers() as served, Pair(served.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_before=["finalize"])
        before = await graph.ainvoke(QUESTION, THREAD, context=settings)
        drafted = len(served.draft.completions)
        graph.interrupt_before_nodes = []
        state = await graph.ainvoke(QUESTION, THREAD, context=settings)
        assert len(served.draft.completions) == drafted
    assert state["specreason_steps"] == before["specreason_steps"]
    assert state["specreason_ended"] == before["specreason_ended"]
    assert [message.type for message in state["messages"]] == ["human", "ai"]


async def test_the_same_question_after_its_answer_is_a_new_run() -> None:
    async with servers() as served, Pair(served.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver())
        first = await graph.ainvoke(QUESTION, THREAD)
        again = await graph.ainvoke(AGAIN, THREAD)
    assert again["specreason_run"]["id"] != first["specreason_run"]["id"]
    assert len(again["specreason_steps"]) == len(STEPS)


async def test_what_a_failed_node_cost_is_told_by_who_goes_on() -> None:
    draft = ScriptedServer(Script(STEPS), template="think", model="draft", pace=Pace(seconds_per_token=0.02))
    async with scripted_pair(Script(STEPS), draft, template="think") as served, Pair(served.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_before=["judge"])
        await graph.ainvoke(QUESTION, THREAD, context=Settings(hedge=False))
        graph.interrupt_before_nodes = []
        served.base.fail(Fault("status", status=500))
        with pytest.raises(Exception, match="500"):
            await graph.ainvoke(None, THREAD, context=Settings(hedge=False))
        state = await graph.ainvoke(None, THREAD, context=Settings(hedge=False))
        written = sum(record.tokens for record in served.draft.completions)
        requests = len(served.draft.completions)
    used = state["specreason_usage"]["draft"]
    assert used["requests"] == requests
    assert 0 <= written - used["completion_tokens"] <= requests


async def test_the_error_of_a_second_question_holds_no_steps_of_the_first() -> None:
    async with servers() as served, Pair(served.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver())
        await graph.ainvoke(QUESTION, THREAD)
        served.base.fail(Fault("status", status=500), times=None)
        with pytest.raises(EndpointFailed) as raised:
            await graph.ainvoke(AGAIN, THREAD)
    assert raised.value.steps == []


async def test_a_message_after_a_change_of_a_step_begins_a_clean_run() -> None:
    """The change was of the old question's reasoning; it is nothing to the new one, nor to any later one."""
    async with servers() as served, Pair(served.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_before=["judge"])
        await graph.ainvoke(QUESTION, THREAD)
        await graph.ainvoke(None, THREAD)
        await graph.aupdate_state(THREAD, edited(0, "Another step."), as_node="judge")
        graph.interrupt_before_nodes = []
        state = await graph.ainvoke(MORE, THREAD)
    assert (state["specreason_ended"], len(state["specreason_steps"])) == ("finished", len(STEPS))
    assert state["specreason_edit"] is None


async def test_a_change_of_a_run_that_is_over_does_not_stop_its_thread() -> None:
    async with servers() as served, Pair(served.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver())
        await graph.ainvoke(QUESTION, THREAD)
        await graph.aupdate_state(THREAD, edited(0, "Another step."), as_node="finalize")
        state = await graph.ainvoke(MORE, THREAD)
    assert (state["specreason_ended"], len(state["specreason_steps"])) == ("finished", len(STEPS))


async def test_a_draft_that_waited_when_the_question_was_sent_again_is_discarded() -> None:
    async with servers() as served, Pair(served.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver(), interrupt_before=["judge"])
        alone = Settings(look_ahead=False, hedge=False)
        await graph.ainvoke(QUESTION, THREAD, context=alone)
        graph.interrupt_before_nodes = []
        state = await graph.ainvoke(QUESTION, THREAD, context=alone)
    used = state["specreason_usage"]["draft"]
    kept = sum(step["draft_tokens"] for step in state["specreason_steps"])
    assert used["completion_tokens"] - used["discarded_tokens"] == kept + 1  # the one that closes the reasoning
