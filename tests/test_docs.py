"""What the documentation shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.testing import Script, scripted_pair

ROOT = Path(__file__).parents[1]
STEPS = ["There are 3 cows.", "3 * 4 = 12 legs.", "So 12."]
WRONG = ["There are 3 cows.", "3 * 4 = 11 legs.", "So 12."]
QUESTION: Any = {"messages": [("user", "How many legs have 3 cows?")]}


def shown(page: str) -> dict[str, Any]:
    """What a page's Python defines, all of its blocks read as one program."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), flags=re.DOTALL)
    namespace: dict[str, Any] = {}
    exec("\n".join(blocks), namespace)
    return namespace


async def test_the_example_of_testing_md() -> None:
    await shown("testing.md")["test_a_wrong_step_is_written_by_base"]()


async def test_the_example_of_streaming_md(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async with scripted_pair(Script(STEPS, answer="12"), Script(STEPS), template="think") as servers:
        monkeypatch.setenv("SPECREASON_BASE_URL", servers.config.base.base_url)
        monkeypatch.setenv("SPECREASON_DRAFT_URL", servers.config.draft.base_url)
        monkeypatch.setenv("SPECREASON_PRESET", "thinking")
        await shown("streaming.md")["show"]("How many legs have 3 cows?")
    assert capsys.readouterr().out == "draft There are 3 cows.\ndraft 3 * 4 = 12 legs.\ndraft So 12.\n12"


async def test_the_examples_of_human_in_the_loop_md(capsys: pytest.CaptureFixture[str]) -> None:
    page = shown("human_in_the_loop.md")
    base = Script(STEPS, answer="12", scores=[9, 6, 9])
    async with scripted_pair(base, Script(WRONG), template="think") as servers, Pair(servers.config) as pair:
        state = await page["ask"](pair)
        assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS
        assert capsys.readouterr().out == "3 * 4 = 11 legs.\n\n 6.0 ['accept', 'reject', 'edit']\n"
        graph = create_specreason(pair=pair, settings=Settings(threshold=6)).compile(checkpointer=InMemorySaver())
        thread = {"configurable": {"thread_id": "1"}}
        await graph.ainvoke(QUESTION, thread)  # type: ignore[call-overload]
        state = await page["correct"](graph, thread, 1, STEPS[1])
        assert [step["text"].strip() for step in state["specreason_steps"]] == STEPS


async def test_the_example_of_seeing_md(tmp_path: Path) -> None:
    async with scripted_pair(Script(STEPS, answer="12"), Script(STEPS), template="think") as servers:
        state = await create_specreason(pair=Pair(servers.config)).compile().ainvoke(QUESTION)
    shown("seeing.md")["save"](state, tmp_path / "run.html")
    assert "3 * 4 = 12 legs." in (tmp_path / "run.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("built", "scores", "sources"),
    [
        ("with_policy", [6, 7, 9], ["base", "base", "draft"]),
        ("with_judge", ["C", "B", "A"], ["base", "base", "draft"]),
        ("with_preset", ["A", "C", "A"], ["draft", "base", "draft"]),
    ],
)
async def test_the_extensions_of_extending_md(built: str, scores: list[Any], sources: list[str]) -> None:
    base = Script(STEPS, answer="12", scores=scores)
    async with scripted_pair(base, Script(STEPS)) as servers:
        by_name = servers.config.model_copy(update={"preset": None}) if built == "with_preset" else servers.config
        async with Pair(by_name) as pair:
            state = await shown("extending.md")[built](pair).compile().ainvoke(QUESTION)
    assert [step["source"] for step in state["specreason_steps"]] == sources


async def test_the_step_splitter_of_extending_md() -> None:
    lines = Script(["There are 3 cows.\nEach has 4 legs.\nSo 12."])
    async with scripted_pair(lines, lines) as servers, Pair(servers.config) as pair:
        state = await shown("extending.md")["with_lines"](pair).compile().ainvoke(QUESTION)
    assert [step["text"] for step in state["specreason_steps"]] == [
        "There are 3 cows.\n",
        "Each has 4 legs.\n",
        "So 12.",
    ]


async def test_the_picture_in_the_readme_is_the_one_that_the_code_draws() -> None:
    """After a change of the graph, put the new text there."""
    async with scripted_pair(Script(STEPS), Script(STEPS)) as servers:
        drawn = create_specreason(pair=Pair(servers.config)).compile().get_graph().draw_mermaid()
    [kept] = re.findall(r"<!-- graph -->\n```mermaid\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert kept == drawn, f"README.md should hold\n{drawn}"
