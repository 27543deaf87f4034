"""A checkpointed thread's page: of a run of its own, and of the loop inside an agent's graph."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

from specreason_graph.contract.errors import ConfigError, SpecReasonError
from specreason_graph.tools.recorded_runs import page_of_run
from specreason_graph.tools.threads import of_thread

from .agents_of_threads import COWS, HENS, Build, alone, ask, deep, node, subgraph


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a#b.sqlite"


@pytest.fixture
def on_file(file: Path) -> Callable[[Callable[[Any], Awaitable[None]]], None]:
    """Do something on a saver of SQLite."""

    def do(work: Callable[[Any], Awaitable[None]]) -> None:
        async def made() -> None:
            async with AsyncSqliteSaver.from_conn_string(str(file)) as saver:
                await work(saver)

        asyncio.run(made())

    return do


def test_a_thread_of_its_own_has_a_page(file: Path, on_file: Callable[..., None]) -> None:
    on_file(lambda saver: ask(saver, alone, "cows#1", COWS))
    page = page_of_run(f"sqlite:{file}#cows#1")
    assert (page.question, page.answer, page.accepted, page.judged) == (COWS, "12", 2, 3)
    assert page.about == "thread cows#1"
    assert page.times is not None
    assert page.times.work
    with pytest.raises(ConfigError, match="no thread 'hens'"):
        of_thread(f"sqlite:{file}#hens")
    with pytest.raises(ConfigError, match="no run 2; there is one alone"):
        of_thread(f"sqlite:{file}#cows#1", 2)


@pytest.mark.parametrize(
    ("build", "inside"), [(subgraph, "reason"), (node, "plan"), (deep, "team / plan")], ids=["subgraph", "node", "deep"]
)
def test_the_loop_in_an_agent_s_graph_has_a_page(
    build: Build, inside: str, file: Path, on_file: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    """Guards agents: their threads hold states of their own, and the loop's in namespaces below."""
    on_file(lambda saver: ask(saver, build, "t", COWS))
    caplog.clear()
    page = page_of_run(f"sqlite:{file}#t")
    assert (page.question, page.answer, page.accepted, page.judged) == (COWS, "12", 2, 3)
    assert page.about == f"thread t, in {inside}"
    assert not caplog.records


@pytest.mark.parametrize(("build", "inside"), [(alone, ""), (subgraph, ", in reason"), (node, ", in plan")])
def test_of_several_runs_each_can_be_chosen(
    build: Build, inside: str, file: Path, on_file: Callable[..., None]
) -> None:
    """The last is taken, and it is said which there are."""
    on_file(lambda saver: ask(saver, build, "t", COWS, HENS, COWS))
    told: list[str] = []
    found = [page_of_run(f"sqlite:{file}#t", number=number, tell=told.append) for number in (1, 2, None)]
    assert [(page.question, page.answer) for page in found] == [(COWS, "12"), (HENS, "12"), (COWS, "12")]
    assert [len(page.steps) for page in found] == [3, 3, 3]
    assert found[-1].about == f"thread t, run 3 of 3{inside}"
    where = inside.removeprefix(", in ") + ": " * bool(inside)
    assert told[-3:] == [f"{number} {where}{question}" for number, question in enumerate((COWS, HENS, COWS), 1)]
    with pytest.raises(ConfigError, match=r"no run 4; there is 1 .*How many legs.*; 3 "):
        of_thread(f"sqlite:{file}#t", 4)


def test_a_second_question_that_has_not_begun_leaves_the_first_run_what_it_was(
    file: Path, on_file: Callable[..., None]
) -> None:
    """Its checkpoint holds the new question with the old run's steps."""

    async def failing(saver: Any) -> None:
        await ask(saver, alone, "t", COWS)
        with pytest.raises(SpecReasonError):
            await ask(saver, alone, "t", HENS, preset="no-such-preset")

    on_file(failing)
    page = page_of_run(f"sqlite:{file}#t")
    assert (page.question, page.answer, page.about) == (COWS, "12", "thread t")


def test_a_run_that_waits_for_a_person_shows_the_step(file: Path, on_file: Callable[..., None]) -> None:
    on_file(lambda saver: ask(saver, node, "t", COWS, ask_band=(2, 5)))
    page = page_of_run(f"sqlite:{file}#t")
    assert (page.ended, page.answer, len(page.steps)) == ("a person is asked", None, 1)
    assert [(it.text, it.waits_for) for it in page.pending] == [("3 * 4 = 12 legs.", "a person is asked")]


def test_a_thread_without_the_loop_is_said_to_be_one(file: Path, on_file: Callable[..., None]) -> None:
    async def chat(saver: Any) -> None:
        graph = StateGraph(MessagesState)
        graph.add_node("chat", lambda state: {"messages": ["hello"]})
        graph.add_edge(START, "chat")
        given: Any = {"messages": ["hi"]}
        await graph.compile(checkpointer=saver).ainvoke(given, {"configurable": {"thread_id": "t"}})

    on_file(chat)
    with pytest.raises(ConfigError, match=r"'t' has no run of ours.*ChatSpecReason keeps none"):
        of_thread(f"sqlite:{file}#t")


def test_looking_changes_no_database(tmp_path: Path) -> None:
    """Opening one as LangGraph does makes its tables there."""
    file = tmp_path / "own.sqlite"
    with sqlite3.connect(file) as own:
        own.execute("CREATE TABLE mine (x)")
    own.close()
    before = file.read_bytes()
    with pytest.raises(SpecReasonError, match="can't read the database"):
        of_thread(f"sqlite:{file}#t")
    assert file.read_bytes() == before


@dataclass
class Acts:
    """Does what it likes when it is loaded."""

    how: str
    ran: ClassVar[bool] = False

    def __post_init__(self) -> None:
        Acts.ran = True


def test_what_a_database_holds_is_not_run(file: Path, on_file: Callable[..., None]) -> None:
    async def plant(saver: Any) -> None:
        await ask(saver, alone, "t", COWS)
        kept = await saver.aget_tuple({"configurable": {"thread_id": "t"}})
        kept.checkpoint["channel_values"]["specreason_gate"] = Acts("!")
        await saver.aput(kept.parent_config, kept.checkpoint, kept.metadata, {})

    on_file(plant)
    Acts.ran = False
    assert page_of_run(f"sqlite:{file}#t").answer == "12"
    assert not Acts.ran


@pytest.fixture
def postgres() -> str:
    dsn = os.environ.get("SPECREASON_TEST_POSTGRES")
    if dsn is None:
        pytest.skip("SPECREASON_TEST_POSTGRES names no server")
    parts = dict(part.split("=", 1) for part in dsn.split())
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}"


@pytest.mark.parametrize("build", [alone, node])
def test_a_thread_of_postgresql_has_a_page(build: Build, postgres: str) -> None:
    thread = f"{uuid4().hex}#1"

    async def make() -> None:
        async with AsyncPostgresSaver.from_conn_string(postgres) as saver:
            await saver.setup()
            await ask(saver, build, thread, COWS, HENS)

    asyncio.run(make())
    assert [page_of_run(f"{postgres}#{thread}", number=number).question for number in (1, 2)] == [COWS, HENS]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sqlite:no-such.sqlite#x", "there is no file"),
        ("sqlite:no-such.sqlite", "names no thread"),
        (f"sqlite:{__file__}", "names no thread"),
        (f"sqlite:{__file__}#x", "can't read the database"),
        ("postgresql://someone:secret@127.0.0.1:9/x", "names no thread"),
        ("postgresql://me:sec/ret@h/x", "names no thread"),
        ("postgresql://someone:secret@127.0.0.1:9/x#y", "can't read the database"),
        ("postgresql://someone:sec#ret@127.0.0.1:9/x#y", "can't read the database"),
    ],
)
def test_what_can_not_be_read_is_said_in_one_line_without_a_password(name: str, says: str) -> None:
    with pytest.raises(SpecReasonError, match=says) as caught:
        of_thread(name)
    assert "sec" not in str(caught.value)
    assert "ret@" not in str(caught.value)
    assert not Path("no-such.sqlite").exists()
