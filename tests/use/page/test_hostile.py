"""What models, people and servers write is text on the page, whatever it is: nothing of it runs, or calls anywhere."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from specreason_graph.use.page.build import run_page
from specreason_graph.use.page.render import runs_html
from specreason_graph.use.page.text import shown

from .conftest import Open
from .records import made_up, recorded

ACTS = "window.hacked = true; fetch('https://example.com/x')"
HOSTILE = {
    "script": f"<script>{ACTS}</script>",
    "end of a script": f"</script><script>{ACTS}</script>",
    "end of a style": f'</style></title></textarea><img src=x onerror="{ACTS}">',
    "attribute": f'" autofocus onfocus="{ACTS}" x=\'',
    "comment": f"<!--<script>--><svg onload={ACTS!r}>",
    "address": "javascript:alert(1) https://example.com/ //example.com",
    "template": "{{ run.__class__ }} {% raw %} ${1+1} &lt;b&gt;",
    "control": "a\x00b\x07c\x08d\x1b[31mred\x1b[0m\x9b31m\x7f\r\nline\u2028more",
    "direction": "\u202egnorw si siht\u202c \u2067x\u2069 \u200f\u061c",
    "surrogate": "half \ud83d of a \udc00 character \ufffe",
    "other letters": "多步推理 🙂🧑🏽‍🚀 𝑥² é ﷽ שלום مرحبا",
}


def spoilt(value: Any, text: str) -> Any:
    """A record with this text for every text that is no word of ours."""
    if isinstance(value, dict):
        free = {"text", "rejected_text", "question", "answer", "base", "draft", "why", "reject_reason", "human"}
        return {
            key: text if key in free and isinstance(item, str) else spoilt(item, text) for key, item in value.items()
        }
    return [spoilt(item, text) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_that_was_written_runs(text: str, opened: Open) -> None:
    """The fixture sees to it that nothing was asked for, and no script of the page failed."""
    run = spoilt(recorded(), text)
    run["judge"] = {**run["judge"], "labels": [text, "b"]}
    run["ended"] = run["policy"]["name"] = text
    page = opened(run)
    page.wait_for_timeout(50)
    assert page.evaluate("window.hacked") is None
    assert page.evaluate("document.scripts.length") == 2
    assert page.locator("main img, main iframe, main a:not([href^='#'])").count() == 0
    expected = shown(text).strip("\n")
    assert [it.evaluate("it => it.textContent") for it in page.locator(".step .text").all()] == [expected] * 7
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowRight")


def test_the_page_names_the_one_script_that_may_run(opened: Open) -> None:
    """The second lock, behind escaping."""
    page = opened(recorded())
    policy = page.locator("meta[http-equiv]").get_attribute("content") or ""
    assert "default-src 'none'" in policy
    assert "'sha256-" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


def test_text_never_turns_what_stands_around_it(opened: Open) -> None:
    """Marks of direction are shown as such, and letters that run from right to left stay in their box."""
    page = opened(spoilt(recorded(), "\u202eevil\u202c שלום"))
    shown_text = page.locator(".step .text").first.text_content() or ""
    assert shown_text == "⇄evil⇄ שלום"
    assert page.locator(".step .text").first.evaluate("it => getComputedStyle(it).unicodeBidi") == "isolate"


def test_a_megabyte_is_cut_short(opened: Open) -> None:
    run = spoilt(recorded(), "so it goes on and on " * 50_000)
    html = runs_html([run_page(run)], "Runs")
    assert len(html.encode()) < 500_000
    page = opened(run)
    expect(page.locator(".step .text").first).to_contain_text("1,030,000 more characters are in the record")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200


def test_a_long_word_does_not_widen_the_page(opened: Open) -> None:
    page = opened(spoilt(recorded(), "a" * 3000), width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_two_hundred_steps_are_less_than_500_kilobytes(opened: Open) -> None:
    run = made_up(200)
    assert len(runs_html([run_page(run)], "Runs").encode()) < 500_000
    page = opened(run)
    expect(page.locator("li.step")).to_have_count(200)
    expect(page.locator(".judging .outcome")).to_contain_text("134 of 200")
