"""The graph as LangGraph users meet it: nodes and edges, threads, resume, context, and what must not leak."""

import io
import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from specreason_graph import ConfigError, Pair, Settings, create_specreason
from specreason_graph.contract.errors import EndpointError, EndpointFailed
from specreason_graph.judging.catalog import builtin
from specreason_graph.testing import Fault, Script, ScriptedPair, ScriptedServer, scripted_pair

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
QUESTION: Any = {"messages": [("user", "How many legs have 3 cows?")]}
IN_TURN = Settings(look_ahead=False, hedge=False)
"""One request after the other, so that they can be counted."""


def config(thread: str = "t") -> Any:
    return {"configurable": {"thread_id": thread}, "recursion_limit": 200}


async def fail_after_the_first_step(graph: Any, servers: ScriptedPair) -> None:
    async for event in graph.astream(QUESTION, config(), stream_mode="custom"):
        if event["event"] == "step_accepted":
            servers.base.fail(Fault("status", status=500), times=None)


async def test_four_nodes_and_labelled_edges_on_the_threshold() -> None:
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers:
        drawn = create_specreason(pair=Pair(servers.config)).compile().get_graph()
        assert set(drawn.nodes) == {START, "draft_step", "judge", "regenerate", "finalize", END}
        labels = {(edge.source, edge.data): edge.target for edge in drawn.edges if edge.conditional}
        assert labels["judge", "accept"] == "draft_step"
        assert labels["judge", "reject"] == "regenerate"
        assert labels["judge", "over"] == "finalize"


async def test_every_knob_can_be_set_per_run() -> None:
    base = Script(STEPS, answer="12", scores=[6, 6, 6])
    async with scripted_pair(base, Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(first_steps=1)).compile()
        for context, sources in [
            (None, ["base", "base", "base"]),
            (Settings(threshold=6), ["base", "draft", "draft"]),
            ({"threshold": 6, "first_steps": 0}, ["draft", "draft", "draft"]),
        ]:
            state = await graph.ainvoke(QUESTION, config(), context=context)  # type: ignore[arg-type]
            assert [step["source"] for step in state["specreason_steps"]] == sources


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"judge": "paper", "threshold": -2.0}, "threshold"),
        ({"judge": "likelihood", "threshold": 7}, "threshold"),
        ({"preset": "nothing"}, "preset"),
        ({"judge": "nobody"}, "judge"),
        ({"pair": "other"}, "pair"),
        ({"answer_budget": 100_000}, "answer_budget"),
    ],
)
async def test_settings_that_can_not_work_name_the_field(settings: dict[str, Any], names: str) -> None:
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        with pytest.raises(ConfigError, match=rf"^{names}"):
            await create_specreason(pair=pair).compile().ainvoke(QUESTION, context=Settings(**settings))
        assert not servers.base.completions
        assert not servers.draft.completions


@pytest.mark.parametrize("messages", [[], [("user", "  ")], [("ai", "y")], [("system", "x")]])
async def test_a_missing_question_is_refused(messages: Any) -> None:
    async with scripted_pair(Script(STEPS), Script(STEPS)) as servers, Pair(servers.config) as pair:
        with pytest.raises(ConfigError, match=r"^messages"):
            await create_specreason(pair=pair).compile().ainvoke({"messages": messages})


async def test_labels_that_are_no_single_token_are_found_before_the_first_step() -> None:
    judge = builtin().judge("paper").model_copy(update={"name": "words", "labels": ("not at all", "very much")})
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, judges=[judge]).compile()
        with pytest.raises(ConfigError, match="'not at all' is not one distinct token"):
            await graph.ainvoke(QUESTION, context=Settings(judge="words", threshold=1))
        assert not servers.draft.completions


async def test_a_second_question_on_a_thread_starts_a_fresh_run() -> None:
    base = Script(STEPS, answer="12", judge_mark="Evaluate the last reasoning step")
    async with scripted_pair(base, replace(base), template="instruct") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=IN_TURN).compile(checkpointer=InMemorySaver())
        first = await graph.ainvoke(QUESTION, config())
        second = await graph.ainvoke({"messages": [HumanMessage("And in dozens?")]}, config())
        assert len(first["specreason_steps"]) == len(second["specreason_steps"]) == len(STEPS)
        assert second["specreason_usage"]["draft"]["requests"] == len(STEPS)
        assert [message.type for message in second["messages"]] == ["human", "ai", "human", "ai"]


async def test_a_failed_run_resumes_with_what_it_has(tmp_path: Path) -> None:
    """Finished steps are never lost and none is judged twice, on new clients, servers and saver."""
    path, requests = str(tmp_path / "run.sqlite"), []
    for attempt in ("fails", "resumes"):
        async with (
            scripted_pair(Script(STEPS, answer="12"), Script(STEPS), template="think") as servers,
            Pair(servers.config) as pair,
            AsyncSqliteSaver.from_conn_string(path) as saver,
        ):
            graph = create_specreason(pair=pair, settings=IN_TURN).compile(checkpointer=saver)
            if attempt == "fails":
                with pytest.raises(EndpointFailed):
                    await fail_after_the_first_step(graph, servers)
            else:
                state = await graph.ainvoke(None, config())
            requests += [(r.path, len(r.prompts)) for r in servers.draft.completions]
    assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
    assert len(requests) == len(STEPS)


async def test_an_error_in_the_middle_carries_the_steps_that_were_kept() -> None:
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=InMemorySaver())
        with pytest.raises(EndpointError) as caught:
            await fail_after_the_first_step(graph, servers)
        assert [step["text"].strip() for step in caught.value.steps] == STEPS[:1]


async def test_a_run_resumed_on_another_prompt_is_refused() -> None:
    """The question is rendered anew on resume; a changed template or model would not fit the steps."""
    async with scripted_pair(Script(STEPS), Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        saver = InMemorySaver()
        graph = create_specreason(pair=pair).compile(checkpointer=saver, interrupt_before=["judge"])
        await graph.ainvoke(QUESTION, config())
        with pytest.raises(ConfigError, match="other prompts"):
            await graph.ainvoke(None, config(), context=Settings(preset="instruct"))


async def test_a_parents_own_keys_are_left_alone() -> None:
    class Parent(MessagesState):
        steps: list[str]
        answer: str

    async with scripted_pair(Script(STEPS, answer="12"), Script(STEPS)) as servers, Pair(servers.config) as pair:
        question: Any = {**QUESTION, "steps": ["mine"], "answer": "mine"}
        parent = StateGraph(Parent)
        parent.add_node("reason", create_specreason(pair=pair).compile())
        parent.add_edge(START, "reason")
        parent.add_edge("reason", END)
        state = await parent.compile().ainvoke(question)
        assert (state["steps"], state["answer"]) == (["mine"], "mine")
        assert state["messages"][-1].text == "12"
        assert not any(key.startswith("specreason") for key in state)


async def test_the_key_is_nowhere_but_in_the_requests(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Checkpoints, schemas, events, logs and errors."""
    key = "sk-very-secret-1234"
    base = ScriptedServer(Script(STEPS, answer="12"), api_key=key, template="think")
    draft = ScriptedServer(Script(STEPS), api_key=key, template="think")
    caplog.set_level(logging.DEBUG)
    seen = io.StringIO()
    async with (
        scripted_pair(base, draft) as servers,
        Pair(servers.config) as pair,
        AsyncSqliteSaver.from_conn_string(str(tmp_path / "run.sqlite")) as saver,
    ):
        graph = create_specreason(pair=pair).compile(checkpointer=saver)
        modes: Any = ["custom", "values", "updates", "debug", "messages"]
        async for part in graph.astream(QUESTION, config(), stream_mode=modes):
            seen.write(repr(part))
        seen.write(json.dumps([graph.get_context_jsonschema(), graph.get_input_jsonschema()]))
        seen.write(repr(pair.__dict__) + repr(servers.config) + str(servers.config.model_dump_json()))
        servers.base.fail(Fault("status", status=400), times=None)
        with pytest.raises(EndpointError) as caught:
            await graph.ainvoke(QUESTION, config("other"))
        seen.write(f"{caught.value!r} {caught.value}")
    on_disk = contents(tmp_path)
    assert b"specreason_steps" in on_disk
    assert key.encode() not in on_disk
    assert key not in seen.getvalue()
    assert key not in caplog.text


def contents(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_a_wrong_key_says_what_to_set_and_not_the_key() -> None:
    server = ScriptedServer(Script(STEPS), api_key="sk-right")
    async with scripted_pair(server, Script(STEPS)) as servers:
        wrong = servers.config.base.model_copy(update={"api_key": None})
        async with Pair(servers.config.model_copy(update={"base": wrong})) as pair:
            with pytest.raises(EndpointError, match="api_key"):
                await create_specreason(pair=pair).compile().ainvoke(QUESTION)
