"""A page that follows its run: what is new comes, and what the reader does stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from browser import browser  # noqa: F401
from playwright.sync_api import Browser, Page, Route, expect

from specreason_graph.use.page.build import run_page
from specreason_graph.use.page.render import html, runs_html

from .records import made_up

ADDRESS = "http://gateway.test/runs/1"
STEP = "li.step[data-step]"
WRITING = "so the sum of both is then twice"


class Gateway:
    """Answers as one does, without a network."""

    def __init__(self, page: Page, html: str) -> None:
        self.html = html
        self.status = 200
        page.route("http://gateway.test/**", self._answer)

    def _answer(self, route: Route) -> None:
        tag = f'"{hash(self.html)}"'
        if self.status == 0:
            route.abort()
        elif self.status == 200 and route.request.headers.get("if-none-match") == tag:
            route.fulfill(status=304, headers={"ETag": tag})
        else:
            route.fulfill(status=self.status, body=self.html, headers={"ETag": tag}, content_type="text/html")


def running(steps: int, *written: tuple[str, str, str]) -> str:
    """A page of so many steps, and texts of the next one."""
    pending = [{"role": role, "text": text, "status": status} for role, text, status in written]
    record = made_up(steps) | {"answer": None, "ended": None, "pending": pending}
    return runs_html([run_page(record, "running", goes_on=True)], "A run", live=True)


def over(steps: int) -> str:
    return runs_html([run_page(made_up(steps), "answered")], "A run")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:  # noqa: F811
    page, wrong = browser.new_page(viewport={"width": 1000, "height": 700}), list[str]()
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield page
    page.close()
    assert not wrong


def opened(page: Page, html: str) -> Gateway:
    gateway = Gateway(page, html)
    page.goto(ADDRESS)
    return gateway


def chosen(page: Page) -> Any:
    return page.evaluate("getSelection().toString()")


def select(page: Page, box: str, begin: int, end: int) -> None:
    """Some characters of a text."""
    page.evaluate(
        """([box, begin, end]) => {
            const text = document.createTreeWalker(document.querySelector(box), NodeFilter.SHOW_TEXT).nextNode();
            getSelection().setBaseAndExtent(text, begin, text, end);
        }""",
        [box, begin, end],
    )


def test_what_the_reader_does_stays(page: Page) -> None:
    gateway = opened(page, running(30))
    page.get_by_role("slider").fill("-1.5")
    page.get_by_label("show").uncheck()
    select(page, "#run-1-step-20 .text", 0, 2)
    page.locator("#run-1-step-21 .drafted").first.focus()
    page.evaluate("document.querySelector('#run-1-step-20').scrollIntoView({ block: 'center' })")
    page.evaluate(f"document.querySelectorAll('{STEP}').forEach((it) => (it.seen = true))")
    text, before = chosen(page), page.locator("#run-1-step-20").bounding_box()
    assert text
    gateway.html = running(31, ("draft", WRITING, "writing"))
    expect(page.locator(STEP)).to_have_count(31, timeout=5000)
    assert page.locator("#run-1-step-20").bounding_box() == before
    assert chosen(page) == text
    assert page.evaluate("document.activeElement.dataset.step") == "20"
    assert page.get_by_role("slider").input_value() == "-1.5"
    assert not page.get_by_label("show").is_checked()
    assert page.evaluate(f"[...document.querySelectorAll('{STEP}')].filter((it) => it.seen).length") == 30
    expect(page.locator(".judging .outcome")).to_contain_text("of 31 drafted steps")
    expect(page.locator("#run-1-step-31")).to_have_class(re.compile("unknown"))


def test_a_text_grows_and_becomes_a_step_under_the_reader_s_selection(page: Page) -> None:
    whole = "".join(piece["text"] for piece in run_page(made_up(4)).model_dump()["steps"][3]["drafted"]["pieces"])
    gateway = opened(page, running(3, ("draft", whole[:30], "writing")))
    select(page, "li.pending .text", 3, 12)
    for later in (running(3, ("draft", whole[:60], "writing")), running(3, ("draft", whole, "drafted")), running(4)):
        gateway.html = later
        page.wait_for_timeout(1300)
        assert chosen(page) == whole[3:12]
    expect(page.locator("li.pending")).to_have_count(0)
    expect(page.locator("#run-1-step-4 .token.asked").first).to_be_visible()
    page.locator("#run-1-step-4 .drafted").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tip")).to_contain_text("the draft:")


def test_the_first_judged_step_brings_the_slider(page: Page) -> None:
    gateway = opened(page, running(0, ("draft", WRITING, "drafted")))
    expect(page.locator("li.pending")).to_contain_text("being judged")
    gateway.html = running(3)
    expect(page.get_by_role("slider")).to_be_visible(timeout=5000)
    expect(page.locator(".judging .outcome")).to_contain_text("2 of 3 drafted steps accepted")
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")
    gateway.html = running(4)
    expect(page.locator(".judging .outcome")).to_contain_text("of 4", timeout=5000)
    expect(page.get_by_role("slider")).to_be_focused()
    assert page.get_by_role("slider").input_value() == "-1.95"


def test_a_run_that_ends_before_the_page_first_asks_is_shown_to_its_end(page: Page) -> None:
    gateway = opened(page, running(3))
    gateway.html = over(4)
    expect(page.locator(".eyebrow").first).to_contain_text("answered", timeout=5000)
    expect(page.locator("section.answer")).to_contain_text("It is 12.")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2500)
    assert asked == []


def test_a_gateway_that_is_gone_is_told_and_followed_when_it_is_back(page: Page) -> None:
    """Guards a page that has shown an hour-old run as if it went on."""
    gateway = opened(page, running(3))
    page.wait_for_timeout(1500)
    gateway.status = 0
    expect(page.get_by_role("status")).to_contain_text("does not answer", timeout=5000)
    gateway.status, gateway.html = 200, running(4)
    expect(page.locator(STEP)).to_have_count(4, timeout=8000)
    expect(page.get_by_role("status")).to_have_text("")
    gateway.status = 404
    expect(page.get_by_role("status")).to_contain_text("does not have this run any more", timeout=5000)


def test_a_run_that_begins_does_not_take_the_focus_from_another_one(page: Page) -> None:
    def listed(*ids: str) -> str:
        rows = [
            {"id": id, "question": id, "begun": 1.0, "pair": "p", "steps": 1, "accepted": 1, "judged": 1} for id in ids
        ]
        return html("list.html.j2", title="Runs", rows=[row | {"status": "running"} for row in rows], live=True)

    gateway = opened(page, listed("b", "a"))
    page.get_by_role("link", name="a", exact=True).focus()
    gateway.html = listed("d", "c", "a")
    expect(page.get_by_role("link", name="d", exact=True)).to_be_visible(timeout=5000)
    expect(page.get_by_role("link", name="a", exact=True)).to_be_focused()
    assert page.locator("tbody th").all_text_contents() == ["d", "c", "a"]
