"""A run's page as a person sees it: in a browser, by keyboard, by a screen reader, at every width, light and dark."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from browser import CONTRAST, WIDTHS, check_looks, picture
from playwright.sync_api import expect

from .conftest import Open
from .records import made_up, recorded


@pytest.mark.parametrize("record", [recorded, lambda: made_up(12)], ids=["recorded", "made-up"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_off_or_hard_to_read(
    width: int, scheme: str, record: Callable[[], dict[str, Any]], opened: Open
) -> None:
    page = opened(record(), width=width, scheme=scheme)
    check_looks(page, width)
    picture(page, f"{'run' if record is recorded else 'times'}-{width}-{scheme}", full_page=True)


def test_the_texts_are_what_was_recorded(opened: Open) -> None:
    """Shading and marks change none of them."""
    run = recorded()
    page = opened(run)
    for step in run["steps"]:
        card = page.locator(f"#run-1-step-{step['index'] + 1}")
        texts = [it.evaluate("it => it.textContent") for it in card.locator(".text").all()]
        expected = [step["text"]] if step["accepted"] else [step["rejected_text"], step["text"]]
        assert texts == [text.strip("\n") for text in expected]


def test_the_rejected_version_stands_beside_the_kept_one(opened: Open) -> None:
    page = opened(recorded())
    card = page.locator("li.step.rejected")
    assert "86" in map(str.strip, card.locator("del").all_text_contents())
    assert "76" in map(str.strip, card.locator("ins").all_text_contents())
    expect(card).to_contain_text("base finds its tokens unlikely")
    left, right = (card.locator(f"figure.{it}").bounding_box() for it in ("rejected", "kept"))
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"]


def test_the_slider_judges_again_and_says_what_is_not_known(opened: Open) -> None:
    page = opened(recorded())
    slider = page.get_by_role("slider", name=re.compile("Threshold"))
    outcome = page.locator(".judging .outcome")
    expect(outcome).to_contain_text("5 of 6 drafted steps accepted")
    expect(page.locator("li.unknown")).to_have_count(0)
    slider.fill("-2.5")
    expect(outcome).to_contain_text("6 of 6 drafted steps accepted")
    expect(outcome).to_contain_text("what follows it is not known")
    expect(page.locator("#run-1-step-5 .would")).to_have_text("would be accepted")
    expect(page.locator("li.unknown")).to_have_count(1)
    picture(page, "again", full_page=True)
    slider.fill("-1")
    expect(page.locator("li.changes .would").first).to_have_text("would be rejected")
    page.get_by_label("Judge by").select_option(label="the 3 least likely tokens' mean")
    expect(outcome).to_contain_text("5 of 6")
    expect(page.locator("li.changes")).to_have_count(0)
    slider.fill("-1.9")
    expect(outcome).to_contain_text("6 of 6")
    page.get_by_role("button", name="As it ran").click()
    expect(outcome).to_contain_text("5 of 6 drafted steps accepted")
    expect(page.locator("li.changes")).to_have_count(0)


def test_the_keyboard_reaches_everything_in_the_order_of_the_page(opened: Open) -> None:
    page = opened(recorded())
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("(({ textContent, className }) => `${textContent}|${className}`)(document.activeElement)")
        )
    assert reached[0].startswith("To the content")
    assert reached[1:3] == ["Steps|", "Answer|"]
    assert reached[3].endswith("|choice")
    assert reached[4:6] == ["|threshold", "As it ran|reset"]
    assert reached[6].endswith("|heat-switch")
    assert [it.rpartition("|")[2] for it in reached[7:13]] == ["text drafted"] * 6


def test_arrow_keys_go_from_token_to_token_and_tell_both_models_log_probabilities(opened: Open) -> None:
    page = opened(recorded())
    box = page.locator("#run-1-step-5 .drafted")
    box.focus()
    tip = page.locator(".tip")
    seen = []
    for _ in range(40):
        page.keyboard.press("ArrowRight")
        seen.append(tip.text_content() or "")
    [eight] = {it for it in seen if it.startswith("“8”")}
    assert re.search(r"base: .* log-probability -2\.35\n.*\nthe draft: ", eight)
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    box.locator(".asked").first.hover()
    expect(tip).to_contain_text("base:")


def test_a_screen_reader_hears_the_run_in_order(opened: Open) -> None:
    page = opened(made_up(3))
    heard = page.locator("main").aria_snapshot()
    parts = [
        'heading "How much is it',
        "Judge by",
        'slider "Threshold"',
        'heading "Steps"',
        "listitem",
        'region "Answer"',
    ]
    parts.append('heading "Time"')
    places = [heard.index(part) for part in parts]
    assert places == sorted(places)
    assert 'img "What draft, judge and base did' in heard


def test_lanes_are_told_and_drawn(opened: Open) -> None:
    page = opened(made_up(6))
    expect(page.locator(".waits")).to_contain_text("s for the draft")
    assert page.locator(".bars rect.thrown-away").count() == 6
    assert page.locator(".bars rect.rejected").count() == 2 * 2  # of the lane, and of what was waited for
    page.locator(".bars rect.base.kept").first.hover()
    expect(page.locator(".tip")).to_have_text(re.compile(r"step 3: base, kept, \d\.\d\d to \d\.\d\d s"))


def test_it_prints_without_what_a_paper_can_not_do(opened: Open) -> None:
    page = opened(made_up(6), scheme="dark")
    page.emulate_media(media="print")
    expect(page.locator(".judging")).to_be_hidden()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate(CONTRAST) == []
    picture(page, "printed", full_page=True)


def test_the_picture_of_the_readme(opened: Open) -> None:
    """`SPECREASON_PICTURES=docs/plots` makes it anew: two steps, one of them with an error that base has found."""
    page = opened(recorded(), width=1000)
    page.locator("#run-1-step-5 .drafted").focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
        if "“8”" in (page.locator(".tip").text_content() or ""):
            break
    top, bottom = (page.locator(f"#run-1-step-{step}").bounding_box() for step in (4, 6))
    assert top is not None
    assert bottom is not None
    page.set_viewport_size({"width": 1000, "height": 720})
    page.evaluate("scrollTo(0, document.querySelector('#run-1-step-4').offsetTop - 106)")
    picture(page, "run")


def test_many_runs_are_one_page_with_a_list(opened: Open) -> None:
    page = opened(recorded(), made_up(3))
    page.get_by_role("link", name=re.compile("How much is it")).click()
    assert page.url.endswith("#run-2")
    expect(page.locator("#run-2 .judging .outcome")).to_contain_text("2 of 3")
    assert page.evaluate("new Set([...document.querySelectorAll('[id]')].map((it) => it.id)).size") == page.evaluate(
        "document.querySelectorAll('[id]').length"
    )
