"""Runs that are kept elsewhere: a checkpointed thread's page, and one of a gateway's."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from use.gateway.served import KEY, asking, served

from specreason_graph import Pair, create_specreason
from specreason_graph.contract.errors import ConfigError, SpecReasonError
from specreason_graph.testing import Script, scripted_pair
from specreason_graph.tools.kept_runs import of_gateway, of_thread
from specreason_graph.tools.recorded_runs import page_of_run

STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]


async def solved_on(saver: Any, thread: str) -> None:
    base = Script(STEPS, answer="12", scores=[9, 3, 9])
    async with scripted_pair(base, Script(STEPS), template="think") as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair).compile(checkpointer=saver)
        question: Any = {"messages": [HumanMessage("How many legs have 3 cows?")]}
        await graph.ainvoke(question, {"configurable": {"thread_id": thread}})


def test_a_thread_of_sqlite_has_a_page(tmp_path: Path) -> None:
    async def make() -> None:
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "a#b.sqlite")) as saver:
            await solved_on(saver, "cows")

    asyncio.run(make())
    page = page_of_run(f"sqlite:{tmp_path / 'a#b.sqlite'}#cows")
    assert (page.question, page.answer, page.accepted, page.judged) == ("How many legs have 3 cows?", "12", 2, 3)
    assert page.times is not None
    assert page.times.work
    with pytest.raises(ConfigError, match="no thread 'hens'"):
        of_thread(f"sqlite:{tmp_path / 'a#b.sqlite'}#hens")


@pytest.fixture
def postgres() -> str:
    dsn = os.environ.get("SPECREASON_TEST_POSTGRES")
    if dsn is None:
        pytest.skip("SPECREASON_TEST_POSTGRES names no server")
    parts = dict(part.split("=", 1) for part in dsn.split())
    return f"postgresql://{parts['user']}@/{parts['dbname']}?host={parts['host']}"


def test_a_thread_of_postgresql_has_a_page(postgres: str) -> None:
    thread = uuid4().hex

    async def make() -> None:
        async with AsyncPostgresSaver.from_conn_string(postgres) as saver:
            await saver.setup()
            await solved_on(saver, thread)

    asyncio.run(make())
    assert page_of_run(f"{postgres}#{thread}").answer == "12"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sqlite:no-such.sqlite#x", "there is no file"),
        ("sqlite:no-such.sqlite", "names no thread"),
        (f"sqlite:{__file__}#x", "can't read the database"),
        ("postgresql://someone:secret@127.0.0.1:9/x#y", "can't read the database"),
    ],
)
def test_what_can_not_be_read_is_said_in_one_line_without_a_password(name: str, says: str) -> None:
    with pytest.raises(SpecReasonError, match=says) as caught:
        of_thread(name)
    assert "secret" not in str(caught.value)
    assert not Path("no-such.sqlite").exists()


@pytest.mark.parametrize(
    "name",
    ["postgresql://me:sec/ret@h/x", "http://me:secret@127.0.0.1:9/runs/x", "https://me:secret@[::1]:9/runs/a@b"],
)
def test_a_name_that_is_told_again_has_no_password(name: str) -> None:
    """Guards logs of jobs: the thread was forgotten, or nobody is at the address."""
    with pytest.raises(SpecReasonError, match=r"names no thread|can't get http") as caught:
        page_of_run(name)
    for part in ("sec", "ret", "me:"):
        assert part not in str(caught.value)


async def test_a_run_of_a_gateway_has_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECREASON_GATEWAY_KEY", KEY)
    async with served(seen=10) as it, it.http as http:
        await http.post("/v1/chat/completions", json=asking())
        assert it.gateway.seen is not None
        [run] = it.gateway.seen.of("tester")
        page = await asyncio.to_thread(page_of_run, f"{it.url}/runs/{run.id}")
        assert page.answer == "There are 12 legs."
        with pytest.raises(ConfigError, match="--runs"):
            await asyncio.to_thread(of_gateway, f"{it.url}/runs/other")
        monkeypatch.delenv("SPECREASON_GATEWAY_KEY")
        with pytest.raises(ConfigError, match="SPECREASON_GATEWAY_KEY"):
            await asyncio.to_thread(of_gateway, f"{it.url}/runs/{run.id}")
    with pytest.raises(SpecReasonError, match="can't get"):
        await asyncio.to_thread(of_gateway, f"{it.url}/runs/{run.id}")
