"""What a page is made of: harmless texts, differences, times, and what can be judged again."""

from __future__ import annotations

from typing import Any, cast

import pytest
from langchain_core.messages import HumanMessage

from specreason_graph import Pair, Settings, create_specreason
from specreason_graph.contract.errors import ConfigError
from specreason_graph.contract.state import Ended, GateReason, RejectReason, SpecReasonState
from specreason_graph.loop.report import report
from specreason_graph.testing import Pace, Script, ScriptedServer, scripted_pair
from specreason_graph.use.page.build import run_page
from specreason_graph.use.page.differences import versions
from specreason_graph.use.page.text import shown
from specreason_graph.use.page.words import ENDINGS, REASONS, TURNS

from .records import made_up, recorded

STEPS = ["There are 3 cows and each has four legs.", "3 * 4 = 12 legs.", "So 12."]
WRONG = ["There are 3 cows and each has four legs.", "3 * 4 = 11 legs.", "So 12."]


def test_every_character_keeps_its_place() -> None:
    """Tokens begin where the record says, in characters."""
    text = "a\x00\x1b\u202e\ud800\x85\r🙂\n\tz"
    assert shown(text) == "a␀␛⇄��␍🙂\n\tz"
    assert len(shown(text)) == len(text)
    assert shown({"\x00": ["\x00", 1, None]}) == {"␀": ["␀", 1, None]}


def test_versions_differ_word_by_word() -> None:
    both = versions("3 * 4 = 11 legs.", "3 * 4 = 12 legs.")
    assert [(it.text, it.differs) for it in both.drafted] == [("3 * 4 = ", False), ("11", True), (" legs.", False)]
    assert [it.text for it in both.kept if it.differs] == ["12"]
    assert versions("", "x").drafted == []


def test_blanks_around_what_differs_are_not_marked() -> None:
    """They are stripes at the ends of lines."""
    both = versions("= 86\n  so", "= 76\n   so")
    assert [it.text for it in (*both.drafted, *both.kept) if it.differs] == ["86", "76"]
    assert "".join(it.text for it in both.kept) == "= 76\n   so"


def test_what_is_too_long_to_compare_is_shown_as_it_is() -> None:
    """Comparing takes the square of the words."""
    both = versions("a b " * 20_000, "b a " * 20_000)
    assert [it.differs for it in (*both.drafted, *both.kept)] == [False, False]


@pytest.mark.parametrize(("words", "kinds"), [(REASONS, RejectReason), (ENDINGS, Ended), (TURNS, GateReason)])
def test_there_are_words_for_all_that_can_be_recorded(words: dict[str, str], kinds: Any) -> None:
    assert words.keys() == set(kinds.__args__)


async def test_a_run_says_when_each_model_wrote_and_what_was_thrown_away() -> None:
    """Guards the lanes: a hedge begins with the draft, and the path that was waited for has no gap of a model's."""
    base = ScriptedServer(Script(STEPS, answer="12", scores=[9, 3, 9]), template="think", pace=Pace(0.02, 0.004))
    draft = ScriptedServer(Script(WRONG), template="think", pace=Pace(0.01, 0.002))
    async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(hedge=True, look_ahead=True)).compile()
        state = await graph.ainvoke({"messages": [HumanMessage("How many legs?")]})
    run = report(cast(SpecReasonState, state))
    first, second, _ = (step["spans"] for step in run["steps"])
    by = {(span["role"], span["used"]): span for span in second}
    assert by.keys() >= {("draft", True), ("judge", True), ("base", True)}
    assert by["draft", True]["ended"] <= by["judge", True]["began"]
    assert by["base", True]["began"] < by["judge", True]["began"], "the hedge was begun with the draft"
    assert any(span["role"] == "base" and not span["used"] and span["tokens"] for span in first)
    for step in run["steps"]:
        assert all(0 <= span["began"] <= span["ended"] <= run["seconds"] for span in step["spans"])
        assert len(step["draft_starts"]) == len(step["draft_logprobs"])
    page = run_page(run)
    assert page.question == "How many legs?"
    assert page.times is not None
    assert sum(page.times.waited_for.values()) <= page.seconds
    assert page.judging is not None
    assert page.judging.choices[0].kind == "labels"
    assert page.models.keys() == {"base", "draft"}


@pytest.mark.parametrize("tokenizer", ["a", "b"])
async def test_asked_tokens_stand_where_they_are_in_the_text(tokenizer: Any) -> None:
    """Also where base reads the draft's text in other tokens."""
    base = ScriptedServer(Script(STEPS, answer="12"), template="think")
    draft = ScriptedServer(Script(WRONG), template="think", tokenizer=tokenizer)
    async with scripted_pair(base, draft) as servers, Pair(servers.config) as pair:
        graph = create_specreason(pair=pair, settings=Settings(judge="likelihood")).compile()
        state = await graph.ainvoke({"messages": [HumanMessage("How many legs?")]})
    for step in state["specreason_steps"]:
        text = step["rejected_text"] or step["text"]
        for spot in step["spots"]:
            assert text[spot["start"] : spot["start"] + len(spot["text"])] == spot["text"]


def test_a_record_of_an_older_version_shows_what_it_has() -> None:
    """No places, times, question, judge or policy: then the recorded score is what a threshold is set against."""
    run = made_up(4)
    for key in ("question", "models", "judge", "policy", "usage"):
        del run[key]
    for step in run["steps"]:
        del step["spans"], step["draft_starts"]
        step["spots"] = [{key: spot[key] for key in spot if key != "start"} for spot in step["spots"]]
    page = run_page(run)
    assert page.judging is not None
    assert page.judging.choices[0].kind == "recorded"
    assert page.times is not None
    assert page.times.work == []
    assert page.steps[0].drafted is not None
    assert page.steps[0].drafted.asked == []


def test_a_policy_of_another_kind_has_no_slider() -> None:
    """Accepting at random keeps what is below its rate: no threshold on a score says that."""
    run = made_up(6) | {"policy": {"name": "random"}}
    for step in run["steps"]:
        step["score"], step["threshold"] = (0.2 if step["accepted"] else 0.9), 0.5
    assert run_page(run).judging is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"steps": None}, "steps"),
        ({"steps": [{}]}, "steps.0.index"),
        ({"seconds": float("nan")}, "seconds"),
        ({"judge": {"kind": "guess"}}, "judge.kind"),
    ],
)
def test_what_is_no_record_is_refused_by_its_field(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        run_page(recorded() | change)
